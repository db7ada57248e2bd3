//! Each mode does what it names.

use std::collections::BTreeSet;

use super::*;

#[test]
fn modes_have_names_of_their_own() {
    let names: BTreeSet<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
    assert_eq!(names.len(), Mode::ALL.len());
    for mode in Mode::ALL {
        assert_eq!(Mode::parse(mode.name()), Some(*mode));
        assert!(mode.name().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{}", mode.name());
        assert!(!mode.what().is_empty());
    }
}

/// What `openidconnect`, with the few checks of [`sign_in`], does not notice. Our relying party has to.
const UNNOTICED: &[Mode] = &[];

#[tokio::test]
async fn an_independent_relying_party_meets_every_mode() {
    let world = World::start(Settings { algorithm: SigningAlgorithm::Rs256, ..quick() }).await;
    let mut tasks = tokio::task::JoinSet::new();
    for mode in Mode::ALL {
        let issuer = world.provider.issuer_of(*mode);
        tasks.spawn(async move { (*mode, sign_in(&issuer).await) });
    }
    let mut unnoticed = BTreeSet::new();
    while let Some(done) = tasks.join_next().await {
        let (mode, outcome) = done.unwrap();
        match (mode.expected(), outcome) {
            (Expected::SignsIn, outcome) => assert!(outcome.is_ok(), "{}: {outcome:?}", mode.name()),
            (Expected::Refuses, Ok(_)) => {
                unnoticed.insert(mode);
            }
            (Expected::Refuses, Err(why)) => println!("{}: {why:.150}", mode.name()),
            (Expected::Either, outcome) => println!("{}: either, {}", mode.name(), outcome.is_ok()),
        }
    }
    assert_eq!(unnoticed, UNNOTICED.iter().copied().collect());
    assert_eq!(world.provider.requests(Endpoint::Elsewhere), 0, "nobody follows what hostile answers point to");
}
