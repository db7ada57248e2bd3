//! The people who can sign in.

use serde_json::{Map, Value, json};

/// A person whom the provider knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// `sub`.
    pub subject: String,
    /// `email`.
    pub email: Option<String>,
    /// `email_verified`.
    pub email_verified: bool,
    /// `name`.
    pub name: String,
    /// `groups`.
    pub groups: Vec<String>,
    /// Further claims; they come with the `profile` scope.
    pub claims: Map<String, Value>,
    /// What the sign-in page says about this person.
    pub note: String,
}

impl Person {
    /// A person with a verified address, in no group.
    pub fn new(subject: &str, name: &str, email: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            email: Some(email.to_owned()),
            email_verified: true,
            name: name.to_owned(),
            groups: Vec::new(),
            claims: Map::new(),
            note: String::new(),
        }
    }

    /// The people of the demo: one who is admitted, one from a domain that the portal refuses, one who is blocked
    /// (in the group `blocked`, and with the claim `blocked: true`), and one who has an Atlassian account.
    pub fn demo() -> [Self; 4] {
        let mut ana = Self::new("ana", "Ana Almeida", "ana@acme.example");
        ana.groups = vec!["customers".to_owned()];
        ana.note = "A customer: the portal lets her in.".to_owned();
        let mut gus = Self::new("gus", "Gus Grant", "gus@elsewhere.example");
        gus.note = "From a domain that the portal refuses.".to_owned();
        let mut bob = Self::new("bob", "Bob Brand", "bob@acme.example");
        bob.groups = vec!["customers".to_owned(), "blocked".to_owned()];
        bob.claims.insert("blocked".to_owned(), json!(true));
        bob.note = "Blocked: the portal refuses him.".to_owned();
        let mut mia = Self::new("mia", "Mia Moreau", "mia@acme.example");
        mia.note = "Has an Atlassian account: JSM Cloud does not take her as a customer.".to_owned();
        [ana, gus, bob, mia]
    }

    /// The claims that `scopes` ask for (OpenID Connect Core 5.4; `groups` is a custom of many providers).
    pub(super) fn claims_for(&self, scopes: &[String]) -> Map<String, Value> {
        let asked = |scope: &str| scopes.iter().any(|one| one == scope);
        let mut claims = Map::new();
        if asked("profile") {
            claims.extend(self.claims.clone());
            claims.insert("name".to_owned(), json!(self.name));
        }
        if asked("email")
            && let Some(email) = &self.email
        {
            claims.insert("email".to_owned(), json!(email));
            claims.insert("email_verified".to_owned(), json!(self.email_verified));
        }
        if asked("groups") {
            claims.insert("groups".to_owned(), json!(self.groups));
        }
        claims
    }
}
