//! What conditions speak of.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::client_certificate::ClientCertificate;
use crate::clock::Timestamp;

/// Who asks, from where, and when. Borrowed: to evaluate a condition copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `email`: in lower case, its domain in ASCII.
    pub email: Option<&'a str>,
    /// `email_domain`: what stands after the `@`.
    pub email_domain: Option<&'a str>,
    /// `groups`; none stands for groups that are not known.
    pub groups: &'a [String],
    /// `claims`: what else the provider says, each with its values.
    pub claims: &'a BTreeMap<String, Vec<String>>,
    /// `provider`: its name in `gateway.yaml`.
    pub provider: &'a str,
    /// `client_ip`: the visitor's address; `None` where it could not be told.
    pub client: Option<IpAddr>,
    /// `client_certificate`: the one that the visitor's connection was made with.
    pub certificate: Option<&'a ClientCertificate>,
    /// `time`.
    pub now: Timestamp,
}
