//! Pages of `/rest/servicedeskapi`: `start`, `limit` and `_links`.

use serde_json::{Value, json};

use super::html::percent;
use super::problem::Problem;

/// The longest page that is given.
pub const LONGEST_PAGE: usize = 50;

/// What part of a list is wanted, as the caller wrote it, and what else has to stand in the links.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The number of the first value, from 0.
    pub start: Option<&'a str>,
    /// How many values at most.
    pub limit: Option<&'a str>,
    /// Other parameters of the call, that its links repeat.
    pub others: &'a [(&'a str, &'a str)],
}

/// One page of `all`, as JSON. `base` is the site as the caller sees it, `path` the path of the call.
pub fn page(base: &str, path: &str, wanted: Wanted<'_>, all: &[Value]) -> Result<Value, Problem> {
    let number = |text: Option<&str>, usual: usize, name: &str| match text {
        None => Ok(usual),
        Some(text) => text.parse::<usize>().map_err(|_| Problem::bad(&format!("{name} is not a number from 0 on."))),
    };
    let start = number(wanted.start, 0, "start")?;
    let limit = number(wanted.limit, LONGEST_PAGE, "limit")?.clamp(1, LONGEST_PAGE);
    let values: Vec<&Value> = all.iter().skip(start).take(limit).collect();
    let next = start.saturating_add(values.len());
    let is_last = next >= all.len();
    let others: String = wanted.others.iter().map(|(name, value)| format!("&{name}={}", percent(value))).collect();
    let link = |start: usize| format!("{base}{path}?start={start}&limit={limit}{others}");
    let mut links = json!({"self": link(start), "base": base, "context": ""});
    if let Some(links) = links.as_object_mut() {
        if !is_last {
            links.insert("next".to_owned(), link(next).into());
        }
        if start > 0 {
            links.insert("prev".to_owned(), link(start.saturating_sub(limit)).into());
        }
    }
    Ok(json!({
        "size": values.len(), "start": start, "limit": limit, "isLastPage": is_last, "_links": links, "values": values,
    }))
}
