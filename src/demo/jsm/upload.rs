//! Files on their way in.

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;

use super::problem::Problem;

/// A file that was uploaded and belongs to no request yet.
pub struct TemporaryFile {
    /// Who sent it, as the site names people.
    pub owner: String,
    /// The name of the file.
    pub name: String,
    /// Its media type, as its sender said.
    pub media_type: String,
    /// The file.
    pub bytes: Bytes,
}

/// A form of which all has come. Its reader is given no form that is still coming: multer takes one for cut off when its
/// end comes between two looks for its first boundary, the first of which found nothing yet (rwf2/multer#70).
pub struct WholeForm(pub Multipart);

/// What was sent is no form, or too long.
#[derive(Debug)]
pub struct NoForm {
    status: StatusCode,
    /// Why.
    pub why: String,
}

impl IntoResponse for NoForm {
    fn into_response(self) -> Response {
        Problem::Desk(self.status, "sd.error.invalid", self.why).into_response()
    }
}

impl<S: Send + Sync> FromRequest<S> for WholeForm {
    type Rejection = NoForm;

    async fn from_request(request: Request, state: &S) -> Result<Self, NoForm> {
        let (head, body) = request.into_parts();
        let body = Bytes::from_request(Request::from_parts(head.clone(), body), state).await;
        let body = body.map_err(|why| NoForm { status: why.status(), why: why.body_text() })?;
        let form = Multipart::from_request(Request::from_parts(head, Body::from(body)), state).await;
        form.map(Self).map_err(|why| NoForm { status: why.status(), why: why.body_text() })
    }
}

/// A file of a form; `None` for a file field that was left empty.
pub async fn file_of(field: Field<'_>, owner: &str) -> Result<Option<TemporaryFile>, Problem> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let media_type = field.content_type().unwrap_or("application/octet-stream").to_owned();
    let bytes: Bytes = field.bytes().await.map_err(|_| Problem::bad("The upload could not be read."))?;
    let plain = !name.contains(['/', '\\']) && !name.chars().any(char::is_control);
    match (name.is_empty(), plain) {
        (true, _) => Ok(None),
        (false, false) => Err(Problem::bad("The name of the file is not allowed.")),
        (false, true) => Ok(Some(TemporaryFile { owner: owner.to_owned(), name, media_type, bytes })),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Poll;

    use futures_util::stream;
    use http::header;

    use super::*;

    #[tokio::test]
    async fn a_form_that_comes_all_at_once_but_late_is_whole() {
        let mut looks = 0;
        let late = stream::poll_fn(move |task| {
            looks += 1;
            if looks == 1 {
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            let form = "--b\r\nContent-Disposition: form-data; name=\"summary\"\r\n\r\nFire\r\n--b--\r\n";
            Poll::Ready((looks == 2).then(|| Ok::<_, Infallible>(Bytes::from(form))))
        });
        let request = Request::post("/").header(header::CONTENT_TYPE, "multipart/form-data; boundary=b");
        let request = request.body(Body::from_stream(late)).unwrap();
        let WholeForm(mut form) = WholeForm::from_request(request, &()).await.unwrap();
        let field = form.next_field().await.unwrap().unwrap();
        assert_eq!(field.name(), Some("summary"));
        assert_eq!(field.text().await.unwrap(), "Fire");
        assert!(form.next_field().await.unwrap().is_none());
    }
}
