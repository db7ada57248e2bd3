//! What happens to the metadata of a SAML provider, counted.

use super::Metrics;
use crate::ids::ProviderName;
use crate::sign_in::saml::metadata_source::{MetadataEvent, MetadataObserver};

/// Counts for one SAML provider.
#[derive(Debug)]
pub(super) struct MetadataOf {
    pub provider: ProviderName,
    pub metrics: Metrics,
}

impl MetadataObserver for MetadataOf {
    fn note(&self, event: &MetadataEvent) {
        let (families, provider) = (&self.metrics.0, [self.provider.as_str()]);
        let result = match event {
            MetadataEvent::Good { new: true, .. } => "read",
            MetadataEvent::Good { new: false, .. } => "unchanged",
            MetadataEvent::Failed(fault) => fault.reason(),
        };
        families.metadata_looks.with_label_values(&[self.provider.as_str(), result]).inc();
        if let MetadataEvent::Good { at, valid_until, .. } = event {
            families.metadata_confirmed.with_label_values(&provider).set(at.seconds());
            match valid_until {
                Some(end) => families.metadata_ends.with_label_values(&provider).set(end.seconds()),
                // It may never have had one.
                None => drop(families.metadata_ends.remove_label_values(&provider)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::sign_in::saml::metadata_source::MetadataFault;

    const END: Timestamp = Timestamp::from_seconds(1_790_000_000);

    #[test]
    fn metadata_tells_its_age_and_its_end() {
        let metrics = Metrics::new().unwrap();
        let (observer, text) = (metrics.watch_metadata(&ProviderName::parse("adfs").unwrap()), || {
            String::from_utf8(metrics.encode().unwrap()).unwrap()
        });
        observer.note(&MetadataEvent::Good { at: END, new: true, valid_until: Some(END) });
        for name in ["saml_metadata_confirmed_timestamp_seconds", "saml_metadata_valid_until_timestamp_seconds"] {
            assert!(text().contains(&format!("vestibule_{name}{{provider=\"adfs\"}} 1790000000")), "{}", text());
        }
        observer.note(&MetadataEvent::Good { at: END, new: false, valid_until: None });
        observer.note(&MetadataEvent::Failed(MetadataFault::Expired));
        assert!(!text().contains("valid_until_timestamp_seconds{"), "it has no end any more");
        for result in ["read", "unchanged", "saml_metadata_expired"] {
            let counted = format!("vestibule_saml_metadata_looks_total{{provider=\"adfs\",result=\"{result}\"}} 1");
            assert!(text().contains(&counted), "{}", text());
        }
    }
}
