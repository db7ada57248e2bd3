//! What one portal rewrites, both ways: made once from its settings, and the same for all its requests.

use std::sync::Arc;

use super::entity_tag::TagMark;
use super::rewrite::{FieldNames, InvalidOrigin, Origin, Rewriter, RewriterFailed};
use crate::pages;
use crate::portal::media_type::{self, MediaPattern};
use crate::portal::settings::PortalSettings;

/// What one portal rewrites.
#[derive(Debug)]
pub struct Rewriting {
    /// Addresses of the upstream become public: header fields.
    pub to_public: Arc<Rewriter>,
    /// Public addresses become the upstream's.
    pub to_upstream: Arc<Rewriter>,
    /// The same origins, for lists that name hosts without a scheme.
    pub origins: Vec<(Origin, Origin)>,
    /// In which fields of requests.
    pub request_fields: FieldNames,
    /// What entity tags of rewritten bodies look like.
    pub mark: TagMark,
    /// Longer bodies pass as they are, in bytes.
    pub largest_body: u64,
    bodies: Vec<(MediaPattern, Arc<Rewriter>)>,
}

/// A portal's addresses cannot be rewritten.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum RewritingFailed {
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    #[error(transparent)]
    Rewriter(#[from] RewriterFailed),
}

impl Rewriting {
    /// Prepares what the settings say.
    ///
    /// # Errors
    /// When an address is no origin, or the search cannot be built.
    pub fn new(portal: &PortalSettings) -> Result<Self, RewritingFailed> {
        let settings = &portal.rewrite;
        let public = Origin::parse(portal.public_origin.as_str())?;
        let mut origins = vec![(Origin::of(&portal.upstream.url)?, public.clone())];
        for pair in &settings.origins {
            let to = pair.public.as_ref().map_or_else(|| Ok(public.clone()), Origin::of)?;
            origins.push((Origin::of(&pair.upstream)?, to));
        }
        // The way back: of several origins that are one to browsers, the first is meant.
        let mut back: Vec<(Origin, Origin)> = Vec::new();
        for (upstream, public) in &origins {
            if back.iter().all(|(known, _)| known != public) {
                back.push((public.clone(), upstream.clone()));
            }
        }
        let inserted = if portal.sign_in.in_page { pages::in_page_script().path } else { "" };
        let to_public = Arc::new(Rewriter::new(origins.clone(), Vec::new())?);
        let mut bodies = Vec::new();
        for pattern in &settings.content_types {
            let texts: Vec<(String, String)> = settings
                .texts
                .iter()
                .filter(|text| text.content_types.is_empty() || text.content_types.contains(pattern))
                .map(|text| (text.from.clone(), text.to.clone()))
                .collect();
            let rewriter = if texts.is_empty() {
                Arc::clone(&to_public)
            } else {
                Arc::new(Rewriter::new(origins.clone(), texts)?)
            };
            bodies.push((pattern.clone(), rewriter));
        }
        Ok(Self {
            mark: TagMark::of(&origins, settings, inserted),
            to_public,
            to_upstream: Arc::new(Rewriter::new(back, Vec::new())?),
            origins,
            request_fields: FieldNames::new(&settings.request_fields),
            largest_body: settings.largest_body,
            bodies,
        })
    }

    /// What rewrites bodies of that content type; `None` when they pass as they are.
    pub fn of_body(&self, content_type: &str) -> Option<&Arc<Rewriter>> {
        let essence = media_type::essence(content_type);
        let (_, rewriter) = self.bodies.iter().find(|(pattern, _)| pattern.matches_essence(essence))?;
        media_type::is_ascii_compatible(content_type).then_some(rewriter)
    }
}
