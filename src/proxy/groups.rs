//! Portals that share sign-ins: people sign in at the first of them, its home, and come to the others from there.

use std::collections::HashMap;
use std::sync::Arc;

use super::site::Site;
use crate::ids::ProviderName;
use crate::portal::HostName;
use crate::portal::settings::SessionGroup;

/// The groups. The home of each comes first.
#[derive(Debug, Default)]
pub struct Groups(HashMap<SessionGroup, Vec<Arc<Site>>>);

impl Groups {
    /// Of these portals, in the order of the configuration.
    pub fn of<'a>(sites: impl Iterator<Item = &'a Arc<Site>>) -> Self {
        let mut groups: HashMap<SessionGroup, Vec<Arc<Site>>> = HashMap::new();
        for site in sites {
            if let Some(group) = &site.settings.session_group {
                groups.entry(group.clone()).or_default().push(Arc::clone(site));
            }
        }
        Self(groups)
    }

    fn portals(&self, site: &Site) -> &[Arc<Site>] {
        site.settings.session_group.as_ref().and_then(|group| self.0.get(group)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Where people of `site` sign in, when that is at another portal.
    pub fn home_of(&self, site: &Site) -> Option<&Arc<Site>> {
        self.portals(site).first().filter(|home| home.settings.host != site.settings.host)
    }

    /// The portal `host`, when its people sign in at `home`, which is another one.
    pub fn portal_of(&self, home: &Site, host: &HostName) -> Option<&Arc<Site>> {
        let (first, others) = self.portals(home).split_first()?;
        others.iter().find(|portal| portal.settings.host == *host).filter(|_| first.settings.host == home.settings.host)
    }

    /// The portals whose people sign in at `home`: itself, and those of its group.
    pub fn hosts_at(&self, home: &HostName) -> Vec<HostName> {
        let is_home = |portals: &&Vec<Arc<Site>>| portals.first().is_some_and(|first| first.settings.host == *home);
        let of_group = self.0.values().filter(is_home).flatten().map(|portal| portal.settings.host.clone());
        std::iter::once(home.clone()).chain(of_group).collect()
    }

    /// Whether people come back from `provider` to `site`: those of the whole group, to its home.
    pub fn signs_in(&self, site: &Site, provider: &ProviderName) -> bool {
        let uses = |portal: &Site| portal.settings.sign_in.providers.contains(provider);
        match self.portals(site) {
            [] => uses(site),
            [home, others @ ..] if home.settings.host == site.settings.host => {
                uses(home) || others.iter().any(|portal| uses(portal))
            }
            _ => false,
        }
    }
}
