//! What Cloud's answers mean. Tolerant of fields that are added, strict about those that decide.

use serde::Deserialize;
use serde_json::Value;

use crate::http_client::Answer;

/// Somebody as the platform tells them (`/rest/api/3/user`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlatformUser {
    pub account_id: String,
    /// `customer`, `atlassian` or `app`. Who does not tell is not read as a customer.
    pub account_type: Option<String>,
    /// Left out where the person or the token's rights hide it.
    #[serde(rename = "emailAddress")]
    pub email: Option<String>,
    pub display_name: Option<String>,
    #[serde(default)]
    pub active: bool,
}

/// Somebody as the service desk tells them; of which kind the account is, it does not.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeskUser {
    pub account_id: String,
    #[serde(rename = "emailAddress")]
    pub email: Option<String>,
}

/// An organization, as far as it matters who manages it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Managed {
    pub id: String,
    #[serde(default)]
    pub scim_managed: bool,
}

/// Whether the permissions hold the right to administer; `None` when the answer tells no permissions.
pub(super) fn may_administer(answer: &Answer) -> Option<bool> {
    let body: Value = answer.status.is_success().then(|| answer.json().ok()).flatten()?;
    let told = body.get("permissions")?.get("ADMINISTER")?;
    Some(told.get("havePermission") == Some(&Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_tell_their_kind_is_read_and_not_called_active() {
        let told: PlatformUser = serde_json::from_str(r#"{"accountId":"qm:1:2","new":1}"#).unwrap();
        assert!(told.account_type.is_none() && !told.active);
        assert!(serde_json::from_str::<PlatformUser>(r#"{"name":"ana"}"#).is_err());
    }
}
