//! What the form of a new request sends, urlencoded or with files.

use axum::extract::{Form, FromRequest as _, Request};
use http::{StatusCode, header};

use super::problem::Problem;
use super::upload::{TemporaryFile, WholeForm, file_of};

/// The fields of the form.
#[derive(Default)]
pub struct NewRequest {
    /// One line.
    pub summary: String,
    /// The rest.
    pub description: String,
    /// The token against cross-site requests.
    pub atl_token: Option<String>,
    /// The ids of files that were uploaded before.
    pub temporary: Vec<String>,
    /// Files that came with the form.
    pub files: Vec<TemporaryFile>,
}

impl NewRequest {
    fn take(&mut self, name: &str, value: String) {
        match name {
            "summary" => self.summary = value,
            "description" => self.description = value,
            "atl_token" => self.atl_token = Some(value),
            "temporaryAttachmentId" => self.temporary.push(value),
            _ => {}
        }
    }

    /// Reads the form; its files belong to `owner`.
    pub async fn read(request: Request, owner: &str) -> Result<Self, Problem> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut new = Self::default();
        if !kind.to_ascii_lowercase().starts_with("multipart/form-data") {
            let Form(pairs) = Form::<Vec<(String, String)>>::from_request(request, &())
                .await
                .map_err(|why| unreadable(&why.body_text()))?;
            for (name, value) in pairs {
                new.take(&name, value);
            }
            return Ok(new);
        }
        let WholeForm(mut form) = WholeForm::from_request(request, &()).await.map_err(|no| unreadable(&no.why))?;
        while let Some(field) = form.next_field().await.map_err(|why| unreadable(&why.body_text()))? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "attachment" => new.files.extend(file_of(field, owner).await?),
                _ => new.take(&name, field.text().await.map_err(|why| unreadable(&why.body_text()))?),
            }
        }
        Ok(new)
    }
}

/// Says why, for whoever looks for the reason in what a gateway sent on.
fn unreadable(why: &str) -> Problem {
    Problem::page(StatusCode::BAD_REQUEST, &format!("The form could not be read: {why}"))
}
