//! Finding one entity with one role in a file that may describe many.

use super::Reading;
use super::refused::MetadataRefused;
use super::validity::Validity;
use crate::saml::names::{DS, MD, SAMLP};
use crate::saml::xml::Node;

/// An entity and the one role of it that was looked for.
pub(super) struct Entity<'x, 'a> {
    pub(super) id: String,
    pub(super) role: Node<'x, 'a>,
    pub(super) validity: Validity,
}

impl<'x, 'a> Entity<'x, 'a> {
    /// Finds the entity with a role `local` that speaks SAML 2.0. Its validity is that of everything around it.
    pub(super) fn find(
        root: Node<'x, 'a>,
        local: &'static str,
        reading: &Reading<'_>,
    ) -> Result<Self, MetadataRefused> {
        let mut descriptors = Vec::new();
        collect(root, Validity::default(), &mut descriptors)?;
        if let Some(wanted) = reading.entity_id {
            let mut named = descriptors.into_iter().filter(|(node, _)| node.attribute("entityID") == Some(wanted));
            return match (named.next(), named.next()) {
                (None, _) => Err(MetadataRefused::NoSuchEntity(wanted.to_owned())),
                (_, Some(_)) => Err(MetadataRefused::EntityTwice(wanted.to_owned())),
                (Some((node, validity)), None) => Self::read(node, validity, local, reading),
            };
        }
        let mut fitting: Vec<_> =
            descriptors.into_iter().filter(|(node, _)| roles(*node, local).next().is_some()).collect();
        match (fitting.pop(), fitting.len()) {
            (None, _) => Err(MetadataRefused::NoRole(local)),
            (Some((node, validity)), 0) => Self::read(node, validity, local, reading),
            (Some(_), others) => Err(MetadataRefused::SeveralEntities(others.saturating_add(1))),
        }
    }

    fn read(
        node: Node<'x, 'a>,
        around: Validity,
        local: &'static str,
        reading: &Reading<'_>,
    ) -> Result<Self, MetadataRefused> {
        let id = node.attribute("entityID").filter(|id| !id.is_empty() && id.len() <= 1024);
        let id = id.ok_or(MetadataRefused::EntityId)?.to_owned();
        let mut roles = roles(node, local);
        let role = roles.next().ok_or(MetadataRefused::NoRole(local))?;
        if roles.next().is_some() {
            return Err(MetadataRefused::EntityTwice(id));
        }
        let validity = Validity::read(role)?.within(around);
        match validity.valid_until {
            Some(end) if !validity.holds(reading.now) => Err(MetadataRefused::Expired(end)),
            _ => Ok(Self { id, role, validity }),
        }
    }

    /// The certificates of its role that may be used for `purpose` (`signing` or `encryption`), in DER. A key without a
    /// `use` is for both (SAML Metadata 2.4.1.1).
    pub(super) fn certificates(&self, purpose: &str) -> Result<Vec<Vec<u8>>, MetadataRefused> {
        let mut certificates = Vec::new();
        for key in self.role.all(MD, "KeyDescriptor") {
            if key.attribute("use").is_some_and(|named| named != purpose) {
                continue;
            }
            for data in key.one(DS, "KeyInfo")?.all(DS, "X509Data") {
                for certificate in data.all(DS, "X509Certificate") {
                    let text = certificate.simple_text("X509Certificate")?;
                    let der = super::decode(&text).ok_or(MetadataRefused::Certificate)?;
                    if !certificates.contains(&der) {
                        certificates.push(der);
                    }
                }
            }
        }
        Ok(certificates)
    }

    /// The formats of NameID that its role names.
    pub(super) fn name_id_formats(&self) -> Result<Vec<String>, MetadataRefused> {
        let formats = self.role.all(MD, "NameIDFormat").map(|format| format.simple_text("NameIDFormat"));
        Ok(formats.map(|format| format.map(|format| format.trim().to_owned())).collect::<Result<_, _>>()?)
    }
}

/// All entities, each with the validity of the groups that it lies in and its own. Nothing is read out of extensions.
fn collect<'x, 'a>(
    node: Node<'x, 'a>,
    around: Validity,
    found: &mut Vec<(Node<'x, 'a>, Validity)>,
) -> Result<(), MetadataRefused> {
    if node.is(MD, "EntityDescriptor") {
        found.push((node, Validity::read(node)?.within(around)));
        return Ok(());
    }
    if !node.is(MD, "EntitiesDescriptor") {
        return Err(MetadataRefused::NotMetadata);
    }
    let validity = Validity::read(node)?.within(around);
    // The parser bounds how deep groups can lie in groups.
    let inner = |child: &Node<'_, '_>| child.is(MD, "EntityDescriptor") || child.is(MD, "EntitiesDescriptor");
    node.children().filter(inner).try_for_each(|child| collect(child, validity, found))
}

/// The roles `local` of an entity that speak SAML 2.0.
fn roles<'x, 'a>(entity: Node<'x, 'a>, local: &'static str) -> impl Iterator<Item = Node<'x, 'a>> {
    let saml_2 = |role: &Node<'_, '_>| {
        let protocols = role.attribute("protocolSupportEnumeration").unwrap_or_default();
        protocols.split_ascii_whitespace().any(|protocol| protocol == SAMLP)
    };
    entity.all(MD, local).filter(saml_2)
}
