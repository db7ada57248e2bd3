//! A condition whose parts have types. Evaluation follows CEL: `&&` and `||` get by without a side that is not there when
//! the other one decides; everything else that is not there makes the whole absent.

use std::net::IpAddr;

use chrono::{DateTime, Datelike as _, FixedOffset, Timelike as _};
use ipnet::IpNet;
use regex::Regex;

use super::{Absent, Facts};
use crate::client_certificate::ClientCertificate;
use crate::clock::Timestamp;

/// The most values that a list of a person has: see `sign_in::claims` and the groups.
const LONGEST_LIST: u64 = 1000;

/// Yes or no.
#[derive(Debug)]
pub(super) enum Truth {
    Literal(bool),
    Not(Box<Truth>),
    And(Box<Truth>, Box<Truth>),
    Or(Box<Truth>, Box<Truth>),
    If(Box<Truth>, Box<Truth>, Box<Truth>),
    Same(Box<Truth>, Box<Truth>),
    Texts(Comparison, Text, Text),
    Numbers(Comparison, Number, Number),
    Times(Comparison, Time, Time),
    /// A claim with exactly this one value.
    OnlyValue(String, String),
    HasClaim(String),
    HasCertificate,
    HasText(Text),
    HasTexts(Texts),
    In(Text, Texts),
    StartsWith(Text, Text),
    EndsWith(Text, Text),
    Contains(Text, Text),
    Matches(Text, Regex),
    Exists(Texts, Box<Truth>),
    All(Texts, Box<Truth>),
    InNetwork(IpNet),
}

/// A text.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Literal(String),
    Email,
    EmailDomain,
    Provider,
    ClientAddress,
    Certificate(OfCertificate),
    /// The one that `exists` or `all` looks at.
    Each,
}

/// Several texts.
#[derive(Clone, Debug)]
pub(super) enum Texts {
    Groups,
    Claim(String),
    CertificateNames,
    List(Vec<Text>),
}

/// A text about the visitor's certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfCertificate {
    Subject,
    Issuer,
    CommonName,
    Organization,
    Fingerprint,
}

/// A whole number.
#[derive(Debug)]
pub(super) enum Number {
    Literal(i64),
    Count(Texts),
    Length(Text),
    Part(Part, Time, FixedOffset),
}

/// A part of a time, as CEL counts it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Year,
    /// From 0.
    Month,
    /// From 1.
    Date,
    /// From 0, which is Sunday.
    DayOfWeek,
    Hours,
    Minutes,
}

/// A moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    Now,
    Literal(Timestamp),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl Truth {
    /// Whether it holds of `facts`; `each` is what `exists` or `all` looks at.
    pub(super) fn of(&self, facts: &Facts<'_>, each: Option<&str>) -> Result<bool, Absent> {
        let truth = |truth: &Self| truth.of(facts, each);
        let text = |text: &Text| -> Result<String, Absent> { text.with(facts, each, str::to_owned) };
        match self {
            Self::Literal(literal) => Ok(*literal),
            Self::Not(inner) => truth(inner).map(|holds| !holds),
            Self::And(left, right) => match truth(left) {
                Ok(false) => Ok(false),
                Ok(true) => truth(right),
                Err(absent) => {
                    if truth(right) == Ok(false) {
                        Ok(false)
                    } else {
                        Err(absent)
                    }
                }
            },
            Self::Or(left, right) => match truth(left) {
                Ok(true) => Ok(true),
                Ok(false) => truth(right),
                Err(absent) => {
                    if truth(right) == Ok(true) {
                        Ok(true)
                    } else {
                        Err(absent)
                    }
                }
            },
            Self::If(condition, yes, no) => {
                if truth(condition)? {
                    truth(yes)
                } else {
                    truth(no)
                }
            }
            Self::Same(left, right) => Ok(truth(left)? == truth(right)?),
            Self::Texts(comparison, left, right) => {
                let right = text(right)?;
                left.with(facts, each, |left| comparison.holds(&left, &right.as_str()))
            }
            Self::Numbers(comparison, left, right) => {
                Ok(comparison.holds(&left.of(facts, each)?, &right.of(facts, each)?))
            }
            Self::Times(comparison, left, right) => Ok(comparison.holds(&left.of(facts), &right.of(facts))),
            Self::OnlyValue(claim, value) => {
                let values = facts.claims.get(claim).ok_or(Absent)?;
                Ok(matches!(values.as_slice(), [only] if only == value))
            }
            Self::HasClaim(claim) => Ok(facts.claims.contains_key(claim)),
            Self::HasCertificate => Ok(facts.certificate.is_some()),
            Self::HasText(text) => Ok(text.with(facts, each, |_| ()).is_ok()),
            Self::HasTexts(texts) => Ok(texts.count(facts).is_ok()),
            Self::In(wanted, texts) => {
                let wanted = text(wanted)?;
                texts.any(facts, each, |found| Ok(found == wanted))
            }
            Self::StartsWith(whole, start) => {
                let start = text(start)?;
                whole.with(facts, each, |whole| whole.starts_with(&start))
            }
            Self::EndsWith(whole, end) => {
                let end = text(end)?;
                whole.with(facts, each, |whole| whole.ends_with(&end))
            }
            Self::Contains(whole, part) => {
                let part = text(part)?;
                whole.with(facts, each, |whole| whole.contains(&part))
            }
            Self::Matches(whole, pattern) => whole.with(facts, each, |whole| pattern.is_match(whole)),
            Self::Exists(texts, condition) => texts.any(facts, each, |each| condition.of(facts, Some(each))),
            Self::All(texts, condition) => {
                texts.any(facts, each, |each| condition.of(facts, Some(each)).map(|holds| !holds)).map(|any| !any)
            }
            Self::InNetwork(network) => {
                facts.client.map(|client| network.contains(&client.to_canonical())).ok_or(Absent)
            }
        }
    }

    /// Whether it looks at the visitor's certificate.
    pub(super) fn asks_for_certificate(&self) -> bool {
        match self {
            Self::HasCertificate => true,
            Self::Not(inner) => inner.asks_for_certificate(),
            Self::And(a, b) | Self::Or(a, b) | Self::Same(a, b) => a.asks_for_certificate() || b.asks_for_certificate(),
            Self::If(a, b, c) => [a, b, c].iter().any(|part| part.asks_for_certificate()),
            Self::Texts(_, a, b) | Self::StartsWith(a, b) | Self::EndsWith(a, b) | Self::Contains(a, b) => {
                a.asks_for_certificate() || b.asks_for_certificate()
            }
            Self::HasText(text) | Self::Matches(text, _) => text.asks_for_certificate(),
            Self::HasTexts(texts) => texts.asks_for_certificate(),
            Self::In(text, texts) => text.asks_for_certificate() || texts.asks_for_certificate(),
            Self::Exists(texts, inner) | Self::All(texts, inner) => {
                texts.asks_for_certificate() || inner.asks_for_certificate()
            }
            Self::Numbers(_, a, b) => a.asks_for_certificate() || b.asks_for_certificate(),
            Self::Literal(_) | Self::Times(..) | Self::OnlyValue(..) | Self::HasClaim(_) | Self::InNetwork(_) => false,
        }
    }

    /// How deep parts stand in parts.
    pub(super) fn depth(&self) -> usize {
        let inner = match self {
            Self::Not(inner) | Self::Exists(_, inner) | Self::All(_, inner) => inner.depth(),
            Self::And(a, b) | Self::Or(a, b) | Self::Same(a, b) => a.depth().max(b.depth()),
            Self::If(a, b, c) => a.depth().max(b.depth()).max(c.depth()),
            _ => 0,
        };
        inner.saturating_add(1)
    }

    /// The most steps that evaluation can take.
    pub(super) fn steps(&self) -> u64 {
        let inner = match self {
            Self::Not(inner) => inner.steps(),
            Self::And(a, b) | Self::Or(a, b) | Self::Same(a, b) => a.steps().saturating_add(b.steps()),
            Self::If(a, b, c) => a.steps().saturating_add(b.steps()).saturating_add(c.steps()),
            Self::In(_, texts) => texts.most(),
            Self::Exists(texts, condition) | Self::All(texts, condition) => {
                texts.most().saturating_mul(condition.steps())
            }
            Self::Matches(..) | Self::Contains(..) => 10,
            _ => 1,
        };
        inner.saturating_add(1)
    }
}

impl Text {
    fn asks_for_certificate(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }

    fn with<T>(&self, facts: &Facts<'_>, each: Option<&str>, act: impl FnOnce(&str) -> T) -> Result<T, Absent> {
        match self {
            Self::Literal(text) => Ok(act(text)),
            Self::Email => facts.email.map(act).ok_or(Absent),
            Self::EmailDomain => facts.email_domain.map(act).ok_or(Absent),
            Self::Provider => Ok(act(facts.provider)),
            Self::ClientAddress => {
                facts.client.map(|client: IpAddr| act(&client.to_canonical().to_string())).ok_or(Absent)
            }
            Self::Certificate(part) => {
                facts.certificate.and_then(|certificate| part.of(certificate)).map(act).ok_or(Absent)
            }
            Self::Each => each.map(act).ok_or(Absent),
        }
    }
}

impl OfCertificate {
    fn of(self, certificate: &ClientCertificate) -> Option<&str> {
        match self {
            Self::Subject => certificate.subject(),
            Self::Issuer => certificate.issuer(),
            Self::CommonName => certificate.common_name(),
            Self::Organization => certificate.organization(),
            Self::Fingerprint => Some(certificate.fingerprint_text()),
        }
    }
}

/// The other names of the visitor's certificate. Of one that has none, or of which not all can be read, nothing can be told by names.
fn names<'a>(facts: &Facts<'a>) -> Result<&'a [String], Absent> {
    facts.certificate.and_then(ClientCertificate::alternative_names).ok_or(Absent)
}

impl Texts {
    fn asks_for_certificate(&self) -> bool {
        match self {
            Self::CertificateNames => true,
            Self::List(texts) => texts.iter().any(Text::asks_for_certificate),
            Self::Groups | Self::Claim(_) => false,
        }
    }

    /// Whether `test` holds of any of them. As in CEL, one that cannot be told counts only when none decides.
    fn any(
        &self,
        facts: &Facts<'_>,
        each: Option<&str>,
        mut test: impl FnMut(&str) -> Result<bool, Absent>,
    ) -> Result<bool, Absent> {
        let mut outcome = Ok(false);
        let mut note = |told: Result<bool, Absent>| {
            match told {
                Ok(true) => return true,
                Ok(false) => {}
                Err(absent) => outcome = Err(absent),
            }
            false
        };
        let found = match self {
            Self::Groups => known(facts.groups)?.iter().any(|group| note(test(group))),
            Self::Claim(name) => facts.claims.get(name).ok_or(Absent)?.iter().any(|value| note(test(value))),
            Self::CertificateNames => names(facts)?.iter().any(|name| note(test(name))),
            Self::List(texts) => texts.iter().any(|text| note(text.with(facts, each, &mut test).and_then(|told| told))),
        };
        if found { Ok(true) } else { outcome }
    }

    fn count(&self, facts: &Facts<'_>) -> Result<usize, Absent> {
        match self {
            Self::Groups => known(facts.groups).map(<[String]>::len),
            Self::Claim(name) => facts.claims.get(name).map(Vec::len).ok_or(Absent),
            Self::CertificateNames => names(facts).map(<[String]>::len),
            Self::List(texts) => Ok(texts.len()),
        }
    }

    fn most(&self) -> u64 {
        match self {
            Self::Groups | Self::Claim(_) | Self::CertificateNames => LONGEST_LIST,
            Self::List(texts) => u64::try_from(texts.len()).unwrap_or(u64::MAX),
        }
    }
}

/// Providers leave groups out when they are too many, or when nobody asked for them. Who seems to be in no group may be in
/// any, so that nothing can be told of their groups.
fn known(groups: &[String]) -> Result<&[String], Absent> {
    if groups.is_empty() { Err(Absent) } else { Ok(groups) }
}

impl Number {
    fn asks_for_certificate(&self) -> bool {
        match self {
            Self::Count(texts) => texts.asks_for_certificate(),
            Self::Length(text) => text.asks_for_certificate(),
            Self::Literal(_) | Self::Part(..) => false,
        }
    }

    fn of(&self, facts: &Facts<'_>, each: Option<&str>) -> Result<i64, Absent> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        match self {
            Self::Literal(literal) => Ok(*literal),
            Self::Count(texts) => texts.count(facts).map(number),
            // CEL counts characters.
            Self::Length(text) => text.with(facts, each, |text| number(text.chars().count())),
            Self::Part(part, time, zone) => {
                let time = time.of(facts).to_chrono().ok_or(Absent)?.with_timezone(zone);
                Ok(part.of(&time))
            }
        }
    }
}

impl Part {
    fn of(self, time: &DateTime<FixedOffset>) -> i64 {
        match self {
            Self::Year => i64::from(time.year()),
            Self::Month => i64::from(time.month0()),
            Self::Date => i64::from(time.day()),
            Self::DayOfWeek => i64::from(time.weekday().num_days_from_sunday()),
            Self::Hours => i64::from(time.hour()),
            Self::Minutes => i64::from(time.minute()),
        }
    }
}

impl Time {
    fn of(self, facts: &Facts<'_>) -> Timestamp {
        match self {
            Self::Now => facts.now,
            Self::Literal(time) => time,
        }
    }
}
