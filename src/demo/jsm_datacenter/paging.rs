//! Pages of `/rest/servicedeskapi`: `start`, `limit` and `query`.

use serde::Deserialize;
use serde_json::Value;

use super::state::State;
use crate::demo::jsm::paging::{self, Wanted};
use crate::demo::jsm::problem::Problem;

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
    let search: Vec<(&str, &str)> = query.query.as_deref().map(|text| ("query", text)).into_iter().collect();
    let wanted = Wanted { start: query.start.as_deref(), limit: query.limit.as_deref(), others: &search };
    paging::page(&state.base_url, path, wanted, all)
}
