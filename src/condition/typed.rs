//! From the syntax tree to a tree with types. What has no type here has no meaning here.
//!
//! In CEL, values of different types may be compared, and are just never equal: `claims.role != "contractor"` would hold of
//! everybody, since a claim has several values. So it is a mistake here, with the way to say it.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use chrono::FixedOffset;
use regex::RegexBuilder;

use super::Mistake;
use super::syntax::Syntax;
use super::tree::{Comparison, Number, OfCertificate, Part, Text, Texts, Time, Truth};
use crate::clock::Timestamp;

/// Steps that one evaluation may take at most.
const MOST_STEPS: u64 = 100_000;

/// Parts within parts: evaluation recurses.
const DEEPEST: usize = 64;

/// Bytes that a compiled pattern may take.
const LARGEST_PATTERN: usize = 256 * 1024;

const VARIABLES: &str = "claims, email, email_domain, groups, provider, client_ip, client_certificate, time";

const OF_CERTIFICATE: &str = "subject, issuer, common_name, organization, san, fingerprint";

/// Something with a type.
enum Typed {
    Truth(Truth),
    Text(Text),
    Texts(Texts),
    Number(Number),
    Time(Time),
    Network(ipnet::IpNet),
    Claims,
    Certificate,
    Null,
}

impl Typed {
    fn kind(&self) -> &'static str {
        match self {
            Self::Truth(_) => "yes or no",
            Self::Text(_) => "a text",
            Self::Texts(_) => "a list of texts",
            Self::Number(_) => "a number",
            Self::Time(_) => "a time",
            Self::Network(_) => "a network",
            Self::Claims => "all claims",
            Self::Certificate => "a certificate",
            Self::Null => "null",
        }
    }
}

/// Gives every part its type.
pub(super) fn read(syntax: &Syntax) -> Result<Truth, Mistake> {
    let reader = Reader { syntax };
    let truth = reader.truth(&syntax.root, None)?;
    if truth.depth() > DEEPEST {
        return Err(Mistake::new("is nested too deeply", "write it in a simpler way, or as several rules"));
    }
    if truth.steps() > MOST_STEPS {
        return Err(Mistake::new("could take too long for a person with many groups or values", "do not nest lists"));
    }
    Ok(truth)
}

struct Reader<'s> {
    syntax: &'s Syntax,
}

/// The name that `exists` or `all` gives to each text.
type Each<'a> = Option<&'a str>;

impl Reader<'_> {
    fn mistake(&self, at: &IdedExpr, what: impl AsRef<str>, cure: impl Into<String>) -> Mistake {
        match self.syntax.place(at) {
            Some(place) => Mistake::new(format!("at character {place}: {}", what.as_ref()), cure),
            None => Mistake::new(what.as_ref(), cure),
        }
    }

    fn truth(&self, part: &IdedExpr, each: Each<'_>) -> Result<Truth, Mistake> {
        match self.typed(part, each)? {
            Typed::Truth(truth) => Ok(truth),
            Typed::Texts(Texts::Claim(name)) => {
                let cure = format!("write '\"true\" in claims.{name}'");
                Err(self.mistake(part, "a claim has several values, and is no condition by itself", cure))
            }
            other => Err(self.mistake(part, format!("this is {}, where yes or no is needed", other.kind()), "")),
        }
    }

    fn text(&self, part: &IdedExpr, each: Each<'_>) -> Result<Text, Mistake> {
        match self.typed(part, each)? {
            Typed::Text(text) => Ok(text),
            Typed::Texts(_) => {
                let cure = "write '\"...\" in ...', or exists(each, ...)";
                Err(self.mistake(part, "this is a list of texts, where one text is needed", cure))
            }
            other => Err(self.mistake(part, format!("this is {}, where a text is needed", other.kind()), "")),
        }
    }

    fn texts(&self, part: &IdedExpr, each: Each<'_>) -> Result<Texts, Mistake> {
        match self.typed(part, each)? {
            Typed::Texts(texts) => Ok(texts),
            other => Err(self.mistake(part, format!("this is {}, where a list of texts is needed", other.kind()), "")),
        }
    }

    fn typed(&self, part: &IdedExpr, each: Each<'_>) -> Result<Typed, Mistake> {
        match &part.expr {
            Expr::Literal(literal) => self.literal(part, literal),
            Expr::Ident(name) => self.variable(part, name, each),
            Expr::Select(select) if !select.test => match &select.operand.expr {
                Expr::Ident(name) if name == "claims" && each != Some("claims") => {
                    Ok(Typed::Texts(Texts::Claim(select.field.clone())))
                }
                Expr::Ident(name) if name == "client_certificate" && each != Some("client_certificate") => {
                    self.of_certificate(part, &select.field)
                }
                _ => {
                    let what = "only claims and client_certificate have names in them";
                    Err(self.mistake(part, what, "such as claims.department"))
                }
            },
            Expr::List(list) => {
                let texts: Result<_, _> = list.elements.iter().map(|element| self.text(element, each)).collect();
                Ok(Typed::Texts(Texts::List(texts?)))
            }
            Expr::Call(call) => self.call(part, call, each),
            _ => Err(self.mistake(part, "this part of CEL has no meaning here", "")),
        }
    }

    fn literal(&self, part: &IdedExpr, literal: &LiteralValue) -> Result<Typed, Mistake> {
        match literal {
            LiteralValue::Boolean(literal) => Ok(Typed::Truth(Truth::Literal(*literal.inner()))),
            LiteralValue::String(text) => Ok(Typed::Text(Text::Literal(text.inner().to_owned()))),
            LiteralValue::Int(number) => Ok(Typed::Number(Number::Literal(*number.inner()))),
            LiteralValue::Null => Ok(Typed::Null),
            _ => Err(self.mistake(part, "this kind of value has no meaning here", "texts, whole numbers, true, false")),
        }
    }

    fn variable(&self, part: &IdedExpr, name: &str, each: Each<'_>) -> Result<Typed, Mistake> {
        if each == Some(name) {
            return Ok(Typed::Text(Text::Each));
        }
        match name {
            "claims" => Ok(Typed::Claims),
            "email" => Ok(Typed::Text(Text::Email)),
            "email_domain" => Ok(Typed::Text(Text::EmailDomain)),
            "groups" => Ok(Typed::Texts(Texts::Groups)),
            "provider" => Ok(Typed::Text(Text::Provider)),
            "client_ip" => Ok(Typed::Text(Text::ClientAddress)),
            "client_certificate" => Ok(Typed::Certificate),
            "time" => Ok(Typed::Time(Time::Now)),
            _ => Err(self.mistake(part, format!("\"{name}\" is not known"), format!("known: {VARIABLES}"))),
        }
    }

    fn of_certificate(&self, part: &IdedExpr, field: &str) -> Result<Typed, Mistake> {
        let text = |of| Ok(Typed::Text(Text::Certificate(of)));
        match field {
            "subject" => text(OfCertificate::Subject),
            "issuer" => text(OfCertificate::Issuer),
            "common_name" => text(OfCertificate::CommonName),
            "organization" => text(OfCertificate::Organization),
            "fingerprint" => text(OfCertificate::Fingerprint),
            "san" => Ok(Typed::Texts(Texts::CertificateNames)),
            _ => {
                let what = format!("client_certificate has no \"{field}\"");
                Err(self.mistake(part, what, format!("known: {OF_CERTIFICATE}")))
            }
        }
    }

    fn call(&self, part: &IdedExpr, call: &CallExpr, each: Each<'_>) -> Result<Typed, Mistake> {
        let name = call.func_name.as_str();
        match (call.target.as_deref(), call.args.as_slice()) {
            (None, args) => self.operation(part, name, args, each),
            (Some(target), args) => self.method(part, name, target, args, each),
        }
    }

    fn operation(&self, part: &IdedExpr, name: &str, args: &[IdedExpr], each: Each<'_>) -> Result<Typed, Mistake> {
        let boxed = |part| self.truth(part, each).map(Box::new);
        let truth = match (name, args) {
            (operators::LOGICAL_NOT, [inner]) => Truth::Not(boxed(inner)?),
            (operators::LOGICAL_AND, [left, right]) => Truth::And(boxed(left)?, boxed(right)?),
            (operators::LOGICAL_OR, [left, right]) => Truth::Or(boxed(left)?, boxed(right)?),
            (operators::CONDITIONAL, [condition, yes, no]) => Truth::If(boxed(condition)?, boxed(yes)?, boxed(no)?),
            (operators::IN, [wanted, list]) => Truth::In(self.text(wanted, each)?, self.texts(list, each)?),
            (operators::EQUALS, [left, right]) => self.compared(part, Comparison::Equal, left, right, each)?,
            (operators::NOT_EQUALS, [left, right]) => self.compared(part, Comparison::NotEqual, left, right, each)?,
            (operators::LESS, [left, right]) => self.compared(part, Comparison::Less, left, right, each)?,
            (operators::LESS_EQUALS, [left, right]) => {
                self.compared(part, Comparison::LessOrEqual, left, right, each)?
            }
            (operators::GREATER, [left, right]) => self.compared(part, Comparison::Greater, left, right, each)?,
            (operators::GREATER_EQUALS, [left, right]) => {
                self.compared(part, Comparison::GreaterOrEqual, left, right, each)?
            }
            (operators::INDEX, [claims, key]) => return self.claim_by_key(part, claims, key, each),
            ("has", [claim]) => match self.typed(claim, each)? {
                Typed::Texts(Texts::Claim(name)) => Truth::HasClaim(name),
                Typed::Texts(names @ Texts::CertificateNames) => Truth::HasTexts(names),
                Typed::Text(text @ Text::Certificate(_)) => Truth::HasText(text),
                _ => {
                    let what = "has() is for claims and for what client_certificate has";
                    return Err(self.mistake(claim, what, "such as has(claims.department)"));
                }
            },
            ("size", [counted]) => return self.size(counted, each),
            ("timestamp", [text]) => return self.timestamp(text, each),
            ("cidr", [text]) => return self.network(text, each),
            _ => {
                let what = match name {
                    operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE => {
                        "conditions do not calculate".to_owned()
                    }
                    name => format!("the function \"{name}\" is not known here, or not with so many values"),
                };
                return Err(self.mistake(part, what, "known: has, size, timestamp, cidr"));
            }
        };
        Ok(Typed::Truth(truth))
    }

    fn method(
        &self,
        part: &IdedExpr,
        name: &str,
        target: &IdedExpr,
        args: &[IdedExpr],
        each: Each<'_>,
    ) -> Result<Typed, Mistake> {
        let truth = match (name, args) {
            ("startsWith", [start]) => Truth::StartsWith(self.text(target, each)?, self.text(start, each)?),
            ("endsWith", [end]) => Truth::EndsWith(self.text(target, each)?, self.text(end, each)?),
            ("contains", [inner]) => Truth::Contains(self.text(target, each)?, self.text(inner, each)?),
            ("matches", [pattern]) => {
                let text = self.text(target, each)?;
                let written = self.written(pattern, each)?;
                let compiled = RegexBuilder::new(&written).size_limit(LARGEST_PATTERN).build();
                Truth::Matches(text, compiled.map_err(|_| self.mistake(pattern, "is no regular expression", ""))?)
            }
            ("exists" | "all", [variable, condition]) => {
                let texts = self.texts(target, each)?;
                let Expr::Ident(variable) = &variable.expr else {
                    return Err(self.mistake(
                        variable,
                        "takes a name first",
                        "such as groups.exists(g, g == \"staff\")",
                    ));
                };
                if each.is_some() {
                    return Err(self.mistake(part, "exists and all do not stand in one another", "use \"in\""));
                }
                let condition = Box::new(self.truth(condition, Some(variable))?);
                if name == "exists" { Truth::Exists(texts, condition) } else { Truth::All(texts, condition) }
            }
            ("size", []) => return self.size(target, each),
            ("containsIP", [address]) => match (self.typed(target, each)?, self.typed(address, each)?) {
                (Typed::Network(network), Typed::Text(Text::ClientAddress)) => Truth::InNetwork(network),
                _ => {
                    let cure = "write cidr(\"10.0.0.0/8\").containsIP(client_ip)";
                    return Err(self.mistake(part, "containsIP is for a network and client_ip", cure));
                }
            },
            (name, zone) if name.starts_with("get") && zone.len() <= 1 => {
                return self.time_part(part, name, target, zone.first(), each);
            }
            _ => {
                let what = format!("the function \"{name}\" is not known here, or not with so many values");
                let cure = "known: startsWith, endsWith, contains, matches, exists, all, size, containsIP, and getHours and the like of time";
                return Err(self.mistake(part, what, cure));
            }
        };
        Ok(Typed::Truth(truth))
    }

    fn compared(
        &self,
        part: &IdedExpr,
        comparison: Comparison,
        left: &IdedExpr,
        right: &IdedExpr,
        each: Each<'_>,
    ) -> Result<Truth, Mistake> {
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match (self.typed(left, each)?, self.typed(right, each)?) {
            (Typed::Text(left), Typed::Text(right)) if equality => Ok(Truth::Texts(comparison, left, right)),
            (Typed::Number(left), Typed::Number(right)) => Ok(Truth::Numbers(comparison, left, right)),
            (Typed::Time(left), Typed::Time(right)) => Ok(Truth::Times(comparison, left, right)),
            (Typed::Truth(left), Typed::Truth(right)) if equality => {
                let same = Truth::Same(Box::new(left), Box::new(right));
                Ok(if matches!(comparison, Comparison::Equal) { same } else { Truth::Not(Box::new(same)) })
            }
            (Typed::Certificate, Typed::Null) | (Typed::Null, Typed::Certificate) if equality => {
                let there = Truth::HasCertificate;
                let none = matches!(comparison, Comparison::Equal);
                Ok(if none { Truth::Not(Box::new(there)) } else { there })
            }
            (Typed::Texts(Texts::Claim(claim)), other) | (other, Typed::Texts(Texts::Claim(claim))) => {
                self.only_value(part, comparison, claim, &other)
            }
            (left, right) => {
                let what = format!("{} and {} are not compared in this way", left.kind(), right.kind());
                Err(self.mistake(part, what, "for lists, write '\"...\" in ...'"))
            }
        }
    }

    /// `claims.email_verified == true`: the claim has this one value and no other. The opposite is not offered, because
    /// it would hold of a claim that has the value among others.
    fn only_value(
        &self,
        part: &IdedExpr,
        comparison: Comparison,
        claim: String,
        other: &Typed,
    ) -> Result<Truth, Mistake> {
        let value = match other {
            Typed::Text(Text::Literal(text)) => text.clone(),
            Typed::Number(Number::Literal(number)) => number.to_string(),
            Typed::Truth(Truth::Literal(truth)) => truth.to_string(),
            _ => {
                let cure = format!("such as claims.{claim} == \"...\", or '\"...\" in claims.{claim}'");
                return Err(self.mistake(part, "a claim is compared with a written value alone", cure));
            }
        };
        match comparison {
            Comparison::Equal => Ok(Truth::OnlyValue(claim, value)),
            Comparison::NotEqual => {
                let cure = format!("write '!(\"{value}\" in claims.{claim})'");
                Err(self.mistake(part, "a claim may have several values, so \"!=\" could mislead", cure))
            }
            _ => Err(self.mistake(part, "the values of claims are texts, which are neither less nor more", "")),
        }
    }

    fn claim_by_key(
        &self,
        part: &IdedExpr,
        claims: &IdedExpr,
        key: &IdedExpr,
        each: Each<'_>,
    ) -> Result<Typed, Mistake> {
        match (self.typed(claims, each)?, self.typed(key, each)?) {
            (Typed::Claims, Typed::Text(Text::Literal(name))) => Ok(Typed::Texts(Texts::Claim(name))),
            (Typed::Claims, _) => Err(self.mistake(key, "the name of a claim is a written text", "claims[\"...\"]")),
            _ => Err(self.mistake(part, "lists have no order that could be relied on", "write '\"...\" in ...'")),
        }
    }

    fn size(&self, counted: &IdedExpr, each: Each<'_>) -> Result<Typed, Mistake> {
        match self.typed(counted, each)? {
            Typed::Texts(texts) => Ok(Typed::Number(Number::Count(texts))),
            Typed::Text(text) => Ok(Typed::Number(Number::Length(text))),
            other => Err(self.mistake(counted, format!("{} has no size", other.kind()), "")),
        }
    }

    fn time_part(
        &self,
        part: &IdedExpr,
        name: &str,
        target: &IdedExpr,
        zone: Option<&IdedExpr>,
        each: Each<'_>,
    ) -> Result<Typed, Mistake> {
        let time = match self.typed(target, each)? {
            Typed::Time(time) => time,
            other => return Err(self.mistake(target, format!("this is {}, where a time is needed", other.kind()), "")),
        };
        let wanted = match name {
            "getFullYear" => Part::Year,
            "getMonth" => Part::Month,
            "getDate" => Part::Date,
            "getDayOfWeek" => Part::DayOfWeek,
            "getHours" => Part::Hours,
            "getMinutes" => Part::Minutes,
            _ => {
                let cure = "known: getFullYear, getMonth, getDate, getDayOfWeek, getHours, getMinutes";
                return Err(self.mistake(part, format!("\"{name}\" is not known here"), cure));
            }
        };
        let zone = match zone {
            None => chrono::Offset::fix(&chrono::Utc),
            Some(zone) => {
                let written = self.written(zone, each)?;
                let bad = |_| self.mistake(zone, "is no offset from UTC", "such as \"+01:00\"");
                written.parse::<FixedOffset>().map_err(bad)?
            }
        };
        Ok(Typed::Number(Number::Part(wanted, time, zone)))
    }

    fn timestamp(&self, text: &IdedExpr, each: Each<'_>) -> Result<Typed, Mistake> {
        let written = self.written(text, each)?;
        let bad = |_| self.mistake(text, "is no time", "such as timestamp(\"2027-01-31T00:00:00Z\")");
        let time = chrono::DateTime::parse_from_rfc3339(&written).map_err(bad)?;
        Ok(Typed::Time(Time::Literal(Timestamp::from_millis(time.timestamp_millis()))))
    }

    fn network(&self, text: &IdedExpr, each: Each<'_>) -> Result<Typed, Mistake> {
        let written = self.written(text, each)?;
        let bad = |_| self.mistake(text, "is no network", "such as cidr(\"10.0.0.0/8\")");
        written.parse().map(Typed::Network).map_err(bad)
    }

    /// A text that stands there as it is, and not as the value of something.
    fn written(&self, part: &IdedExpr, each: Each<'_>) -> Result<String, Mistake> {
        match self.text(part, each)? {
            Text::Literal(text) => Ok(text),
            _ => Err(self.mistake(part, "has to be a written text here", "")),
        }
    }
}
