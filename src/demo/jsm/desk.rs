//! Desks and what can be asked for at them: the same at both look-alikes.

use std::collections::BTreeSet;

/// What can be asked for at a desk.
#[derive(Clone, Debug)]
pub struct RequestType {
    /// Its number.
    pub id: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
}

/// A service desk and its portal, which has the same number.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Its number.
    pub id: &'static str,
    /// The key of its project.
    pub key: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Whether every customer may come, or only members.
    pub open: bool,
    /// Its customers, as the site names people: user names in lower case, or account ids.
    pub members: BTreeSet<String>,
    /// The organizations whose people may come.
    pub organizations: BTreeSet<u64>,
    /// What can be asked for.
    pub request_types: Vec<RequestType>,
    /// The number of its last request.
    pub last_issue: u64,
}

impl Desk {
    /// Desk `1` is open to every customer; desk `10` to its members.
    pub fn seeded() -> Vec<Self> {
        let desk = |id, key, name, description, open, request_types| Self {
            id,
            key,
            name,
            description,
            open,
            members: BTreeSet::new(),
            organizations: BTreeSet::new(),
            request_types,
            last_issue: 0,
        };
        let kind = |id, name, description| RequestType { id, name, description };
        vec![
            desk(
                "1",
                "HELP",
                "Help Center",
                "Questions about your account and our products.",
                true,
                vec![
                    kind("11", "Get help", "Something does not work as it should."),
                    kind("12", "Ask a question", "We answer within a working day."),
                ],
            ),
            desk(
                "10",
                "CUST",
                "Customer Support",
                "For customers with a support contract.",
                false,
                vec![
                    kind("101", "Report an incident", "A service is down or slow."),
                    kind("102", "Request a change", "Plan a change with us."),
                ],
            ),
        ]
    }

    /// The kind of request of that number.
    pub fn request_type(&self, id: &str) -> Option<&RequestType> {
        self.request_types.iter().find(|known| known.id == id)
    }

    /// The key of its next request.
    pub fn next_key(&mut self) -> String {
        self.last_issue = self.last_issue.saturating_add(1);
        format!("{}-{}", self.key, self.last_issue)
    }
}
