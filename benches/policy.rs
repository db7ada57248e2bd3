//! What every request pays for rules and conditions: the demand of a path, with what is built in for JSM, and a condition over
//! a person with 100 groups and 20 claims. `cargo bench --bench policy`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vestibule::clock::Timestamp;
use vestibule::condition::{Condition, Facts};
use vestibule::policy::Rules;
use vestibule::portal::settings::{Access, RuleSettings};
use vestibule::portal::{JsmPaths, PathPattern};

fn demand(bench: &mut Criterion) {
    let rule =
        |path: &str| RuleSettings { path: PathPattern::parse(path).unwrap(), access: Access::Public, require: None };
    let settings = ["/servicedesk/customer/kb/**", "/s/**", "/rest/api/2/serverInfo"].map(rule);
    for (name, jsm) in [("without JSM", None), ("with JSM", Some(JsmPaths::new("/jira")))] {
        let rules = Rules::new(&settings, jsm);
        for path in ["/jira/servicedesk/customer/portal/7/HELP-1", "/jira/s/d41d8cd9-CDN/abc/1/_/download/batch/x/x.js"]
        {
            bench.bench_function(&format!("demand {name}, {path}"), |bencher| {
                bencher.iter(|| matches!(rules.demand(black_box(path)), vestibule::policy::Demand::Closed));
            });
        }
    }
}

fn condition(bench: &mut Criterion) {
    let groups: Vec<String> = (0..100).map(|n| format!("group-{n}")).collect();
    let claims: BTreeMap<String, Vec<String>> =
        (0..20).map(|n| (format!("claim-{n}"), vec!["support".to_owned(), "sales".to_owned()])).collect();
    let facts = Facts {
        email: Some("ana@acme.com"),
        email_domain: Some("acme.com"),
        groups: &groups,
        claims: &claims,
        provider: "acme-okta",
        client: Some([10, 1, 2, 3].into()),
        certificate: None,
        now: Timestamp::from_seconds(1_764_099_000),
    };
    for text in [
        "email_domain == \"acme.com\"",
        "\"sales\" in claims[\"claim-7\"] && !(\"contractor\" in groups)",
        "groups.exists(g, g.startsWith(\"org-\"))",
        "cidr(\"10.0.0.0/8\").containsIP(client_ip) && time.getHours(\"+01:00\") >= 8",
        "email.matches(\"^[a-z]+@acme[.]com$\")",
    ] {
        let condition = Condition::parse(text).unwrap();
        bench.bench_function(text, |bencher| bencher.iter(|| condition.holds(black_box(&facts))));
    }
}

criterion_group!(benches, demand, condition);
criterion_main!(benches);
