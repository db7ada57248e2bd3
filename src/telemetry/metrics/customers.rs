//! What happens to the customer sessions and accounts of a portal, counted.

use super::Metrics;
use crate::customer::{CustomerEvent, CustomerObserver, Provisioning};
use crate::portal::HostName;

/// Counts for one portal.
#[derive(Debug)]
pub(super) struct CustomersOf {
    pub portal: HostName,
    pub metrics: Metrics,
}

impl CustomerObserver for CustomersOf {
    fn note(&self, event: &CustomerEvent) {
        let result = match event {
            // Every request does; the exchanges are counted elsewhere.
            CustomerEvent::Reused => return,
            CustomerEvent::Opened { .. } => "opened",
            CustomerEvent::Failed { failure, .. } => failure.reason(),
            CustomerEvent::Suspected { dead: true, .. } => "died",
            CustomerEvent::Suspected { dead: false, .. } => "wrongly_suspected",
            CustomerEvent::Ended { confirmed: true } => "ended",
            CustomerEvent::Ended { confirmed: false } => "end_unconfirmed",
            CustomerEvent::LoginGone => "login_gone",
            CustomerEvent::Provisioned(what) => {
                let result = provisioned(*what);
                self.metrics.0.provisioning.with_label_values(&[self.portal.as_str(), result]).inc();
                return;
            }
        };
        self.metrics.0.customer_sessions.with_label_values(&[self.portal.as_str(), result]).inc();
    }
}

/// What was done for an account, as a label.
fn provisioned(what: Provisioning) -> &'static str {
    match what {
        Provisioning::Created => "created",
        Provisioning::Bound => "bound",
        Provisioning::Added => "added",
        Provisioning::Removed => "removed",
        Provisioning::Renamed => "renamed",
        Provisioning::EmailFollowed => "email_followed",
        Provisioning::Incomplete => "incomplete",
        Provisioning::TakeoverRefused => "takeover_refused",
        Provisioning::Left => "left",
        Provisioning::LeaveFailed => "leave_failed",
    }
}
