//! The gateway dies after every single call of a first sign-in, before the call has an effect and after it: the next
//! sign-in ends in the same state, with no duplicate.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tokio::sync::Notify;

use super::*;

/// Where the gateway dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// The call has arrived, and done nothing.
    Before,
    /// The call has done its work, and its answer never arrives.
    After,
}

/// Holds one call for ever, so that the gateway can be killed while it waits.
#[derive(Debug, Default)]
pub(in crate::customer) struct Trap {
    pub calls: AtomicUsize,
    /// At which call, counted from 1; 0 for none.
    at: AtomicUsize,
    before: AtomicBool,
    pub sprung: Notify,
}

impl Trap {
    /// At that call, before it has any effect or after it had it.
    pub fn spring_at(&self, at: usize, before: bool) {
        self.at.store(at, Ordering::SeqCst);
        self.before.store(before, Ordering::SeqCst);
    }
}

pub(in crate::customer) async fn trap(State(trap): State<Arc<Trap>>, request: Request, next: Next) -> Response {
    let number = trap.calls.fetch_add(1, Ordering::SeqCst) + 1;
    if number != trap.at.load(Ordering::SeqCst) {
        return next.run(request).await;
    }
    if !trap.before.load(Ordering::SeqCst) {
        next.run(request).await;
    }
    trap.sprung.notify_one();
    std::future::pending().await
}

/// What the site and the ledger look like at the end.
async fn state(stage: &Stage, directory: &Directory, who: &VerifiedIdentity) -> String {
    let mut users: Vec<_> =
        stage.jsm.users().into_iter().map(|user| (user.username, user.email, user.display_name)).collect();
    users.sort();
    let listed = stage.by_hand(Method::GET, ORGANIZATION, json!({})).await;
    let names: Vec<&str> =
        listed["values"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let person = stage.person(directory, who).await.unwrap();
    let holder = Ledger::new(stage.sessions.records()).holder(directory.accounts.site(), ANA).await.unwrap();
    assert!(holder.record.unwrap().is(who));
    let at = person.at(&directory.portal);
    let held: Vec<_> = at.held.iter().map(|held| (held.name.clone(), held.how)).collect();
    format!(
        "{users:?} {names:?} {:?} {} {:?} {} {held:?} {:?}",
        stage.organizations(ANA),
        stage.jsm.is_member("10", ANA),
        person.account,
        person.made,
        at.finished
    )
}

async fn stage_with(trapped: &Arc<Trap>, folder: &Path) -> Stage {
    let layer = from_fn_with_state(Arc::clone(trapped), trap);
    Stage::with(|router| router.layer(layer), sessions_on_disk(folder, Clock::manual(NOW))).await
}

#[tokio::test]
async fn whatever_call_a_crash_comes_after_the_next_sign_in_finishes() {
    let who = in_groups(&ana(), &["org-Vip"]);
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = Arc::new(Trap::default());
    let stage = stage_with(&undisturbed, folder.path()).await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &who).await.unwrap();
    let calls = undisturbed.calls.load(Ordering::SeqCst);
    let expected = state(&stage, &directory, &who).await;
    assert!(calls >= 10, "{calls}");

    for death in [Death::Before, Death::After] {
        for at in 1..=calls {
            let folder = tempfile::tempdir().unwrap();
            let trapped = Arc::new(Trap::default());
            trapped.spring_at(at, death == Death::Before);
            let mut stage = stage_with(&trapped, folder.path()).await;
            let doomed = stage.directory(stage.settings());
            let dying = async {
                trapped.sprung.notified().await;
            };
            tokio::select! {
                outcome = ensure(&doomed, &who) => panic!("{death:?} {at}: {outcome:?}"),
                () = dying => {}
            }
            // The process is gone: its memory, and its hold of the file. What it had not synced is not there.
            drop(doomed);
            let dead = std::mem::replace(&mut stage.sessions, sessions_in_memory(Clock::manual(NOW)));
            drop(dead);
            stage.sessions = reopened(folder.path()).await;
            stage.people = Arc::default();

            let directory = stage.directory(stage.settings());
            let outcome = ensure(&directory, &who).await;
            assert_eq!(outcome.as_deref(), Ok(ANA), "{death:?} {at}");
            assert_eq!(state(&stage, &directory, &who).await, expected, "{death:?} {at} of {calls}");
            assert_eq!(stage.jsm.customers_created(ANA), 1, "{death:?} {at}");
            // Ours is known to be ours, however it came about.
            ensure(&stage.directory(DirectorySettings { organizations: Vec::new(), ..stage.settings() }), &ana())
                .await
                .unwrap();
            assert!(stage.organizations(ANA).is_empty(), "{death:?} {at}");
        }
    }
}

/// The thread that writes lets go of the file a moment after its store is dropped.
pub(in crate::customer) async fn reopened(folder: &Path) -> Sessions {
    let path = folder.join("sessions.redb");
    loop {
        match EmbeddedStore::open(path.clone()) {
            Ok(store) => return sessions_with(Arc::new(store), &["k"], Clock::manual(NOW)),
            Err(crate::session::StoreError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn whatever_call_a_crash_comes_after_who_leaves_has_left_at_the_next() {
    let settings = |stage: &Stage| DirectorySettings { on_leave: OnLeave::RevokePortalAccess, ..stage.settings() };
    let mut calls = 0;
    for (death, at) in
        [(Death::After, 0)].into_iter().chain((1..=6).flat_map(|at| [(Death::Before, at), (Death::After, at)]))
    {
        let folder = tempfile::tempdir().unwrap();
        let trapped = Arc::new(Trap::default());
        let mut stage = stage_with(&trapped, folder.path()).await;
        let directory = stage.directory(settings(&stage));
        ensure(&directory, &ana()).await.unwrap();
        let before = trapped.calls.load(Ordering::SeqCst);
        if at == 0 {
            directory.leave(&ana(), soon()).await.unwrap();
            calls = trapped.calls.load(Ordering::SeqCst) - before;
            assert!(calls >= 4, "{calls}");
            continue;
        }
        if at > calls {
            continue;
        }
        trapped.spring_at(before + at, death == Death::Before);
        let ana = ana();
        tokio::select! {
            outcome = directory.leave(&ana, soon()) => panic!("{death:?} {at}: {outcome:?}"),
            () = trapped.sprung.notified() => {}
        }
        drop(directory);
        stage.sessions = sessions_in_memory(Clock::manual(NOW));
        stage.sessions = reopened(folder.path()).await;
        stage.people = Arc::default();
        stage.directory(settings(&stage)).leave(&ana, soon()).await.unwrap();
        assert!(stage.organizations(ANA).is_empty() && !stage.jsm.is_member("10", ANA), "{death:?} {at}");
    }
}
