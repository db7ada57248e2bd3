//! Pages of `/rest/servicedeskapi`: `start`, `limit` and `_links`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::Problem;
use super::state::State;

const LONGEST_PAGE: usize = 50;

/// What the caller asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PageQuery {
    start: Option<String>,
    limit: Option<String>,
    /// What to search for, where a list can be searched.
    pub(super) query: Option<String>,
}

/// One page of `all`, as JSON.
pub(super) fn page(state: &State, path: &str, query: &PageQuery, all: &[Value]) -> Result<Value, Problem> {
    let number = |text: &Option<String>, usual: usize, name: &str| match text {
        None => Ok(usual),
        Some(text) => text.parse::<usize>().map_err(|_| Problem::bad(&format!("{name} is not a number from 0 on."))),
    };
    let start = number(&query.start, 0, "start")?;
    let limit = number(&query.limit, LONGEST_PAGE, "limit")?.clamp(1, LONGEST_PAGE);
    let values: Vec<&Value> = all.iter().skip(start).take(limit).collect();
    let next = start.saturating_add(values.len());
    let is_last = next >= all.len();
    let link = |start: usize| {
        let search = query.query.as_deref().map(|text| format!("&query={}", super::html::percent(text)));
        state.url(&format!("{path}?start={start}&limit={limit}{}", search.unwrap_or_default()))
    };
    let mut links = json!({"self": link(start), "base": state.base_url, "context": ""});
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
