//! What a path demands: the operator's rules first, then what is built in for Jira Service Management.

use crate::condition::Condition;
use crate::portal::settings::{Access, RuleSettings};
use crate::portal::{JsmPath, JsmPaths, NativePage};

/// The rules of one portal.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// `None` for a site that is no JSM.
    jsm: Option<JsmPaths>,
}

#[derive(Debug)]
struct Rule {
    settings: RuleSettings,
    /// Whether it speaks of a closed place or a page of JSM's own by its name. A wider rule does not open those: it would
    /// be meant for all the rest.
    names_special: bool,
}

impl Rule {
    fn needs(&self) -> Demand<'_> {
        Demand::Needs(self.settings.access, self.settings.require.as_ref())
    }
}

/// What a path demands.
#[derive(Clone, Copy, Debug)]
pub enum Demand<'r> {
    /// That, and the condition if there is one.
    Needs(Access, Option<&'r Condition>),
    /// Closed unless a rule names it.
    Closed,
    /// A page of JSM's own that is ours to answer.
    Page(NativePage),
}

impl Rules {
    /// The rules, for a site whose paths are `jsm`.
    pub fn new(rules: &[RuleSettings], jsm: Option<JsmPaths>) -> Self {
        let names_special = |rule: &RuleSettings| jsm.as_ref().is_some_and(|jsm| jsm.is_named_by(&rule.path));
        let rules =
            rules.iter().map(|rule| Rule { names_special: names_special(rule), settings: rule.clone() }).collect();
        Self { rules, jsm }
    }

    /// What a path demands: the first rule that matches; what is built in, where that rule does not name it; else a session.
    pub fn demand(&self, decoded_path: &str) -> Demand<'_> {
        let rule = self.first(decoded_path);
        let needs = rule.map_or(Demand::Needs(Access::SignedIn, None), Rule::needs);
        if rule.is_some_and(|rule| rule.names_special || rule.settings.access == Access::Deny) {
            return needs;
        }
        let Some(reading) = self.jsm.as_ref().map(|jsm| jsm.read(decoded_path)) else { return needs };
        match reading.what {
            JsmPath::Closed => Demand::Closed,
            JsmPath::Page(page) => Demand::Page(page),
            JsmPath::Ordinary => {
                // A second spelling of a path is no way around its rule.
                let mut others = reading.others.iter().filter_map(|other| self.first(other));
                let stricter = |rule: &&Rule| rule.settings.access == Access::Deny || rule.settings.require.is_some();
                others.find(stricter).map_or(needs, Rule::needs)
            }
        }
    }

    fn first(&self, path: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.settings.path.matches(path))
    }

    /// The paths of JSM, where the site is one.
    pub fn jsm(&self) -> Option<&JsmPaths> {
        self.jsm.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::PathPattern;

    fn rules(rules: &[(&str, Access)]) -> Rules {
        let rule = |(path, access): &(&str, Access)| RuleSettings {
            path: PathPattern::parse(path).unwrap(),
            access: *access,
            require: None,
        };
        Rules::new(&rules.iter().map(rule).collect::<Vec<_>>(), Some(JsmPaths::new("")))
    }

    fn demand(rules: &Rules, path: &str) -> String {
        match rules.demand(path) {
            Demand::Needs(access, _) => format!("{access:?}"),
            Demand::Closed => "Closed".into(),
            Demand::Page(page) => format!("{page:?}"),
        }
    }

    #[test]
    fn rules_come_first_and_a_wide_one_opens_nothing_that_is_closed() {
        let rules = rules(&[
            ("/rest/api/2/serverInfo", Access::Public),
            ("/rest/agile/**", Access::SignedIn),
            ("/rest/servicedesk/1/customer/portal/*/user-search", Access::SignedIn),
            ("/servicedesk/customer/user/signup", Access::Public),
            ("/servicedesk/customer/portal/9/**", Access::Deny),
            ("/secure/attachment/13/**", Access::Deny),
            ("/rest/**", Access::SignedIn),
            ("/s/**", Access::Public),
            ("/**", Access::Public),
        ]);
        for (path, expected) in [
            ("/rest/api/2/serverInfo", "Public"),
            ("/rest/api/2/serverInfo/x", "Closed"),
            ("/rest/agile/1.0/board", "SignedIn"),
            ("/rest/servicedesk/1/customer/portal/7/user-search", "SignedIn"),
            ("/rest/servicedesk/1/customer/portal/7/user-search/proforma", "Closed"),
            ("/rest/servicedeskapi/request", "SignedIn"),
            ("/servicedesk/customer/user/signup", "Public"),
            ("/servicedesk/customer/user/login", "SignIn"),
            ("/servicedesk/customer/portal/9/create/1", "Deny"),
            ("/servicedesk/customer/portal/8/create/1", "Public"),
            ("/secure/Dashboard.jspa", "Closed"),
            ("/s/x/_/rest/api/2/user", "Closed"),
            ("/s/x/_/download/x.css", "Public"),
            ("/admin", "Closed"),
            ("/servicedesk/customershim/secure/attachment/12/a.pdf", "Public"),
            ("/servicedesk/customershim/secure/attachment/13/a.pdf", "Deny"),
            ("/s/x/_/secure/attachment/13/a.pdf", "Deny"),
        ] {
            assert_eq!(demand(&rules, path), expected, "{path}");
        }
    }
}
