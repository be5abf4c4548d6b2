//! telectl's private authority and the certificates that it signs.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::model::secret::Secret;

/// How long the authority is valid: ten years.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a certificate is valid: the longest that clients commonly accept.
const CERTIFICATE_DAYS: i64 = 825;
/// A certificate is valid from a while ago on, for clocks that run behind.
const BACKDATED_HOURS: i64 = 1;

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making one failed.
    #[error("cannot make the certificate of {subject}")]
    Make {
        /// Whose.
        subject: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The authority's Secret does not hold what it should.
    #[error("the Secret of the private authority holds no usable certificate and key")]
    Authority(#[source] rcgen::Error),
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: Secret<String>,
}

impl Pair {
    /// Stands for a pair that will be made, while only a plan is.
    pub const fn unmade() -> Self {
        Self {
            certificate: String::new(),
            key: Secret::new(String::new()),
        }
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A server shows it.
    Server,
    /// A client shows it.
    Client,
}

fn common(subject: &str, days: i64, now: jiff::Timestamp) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters
        .distinguished_name
        .push(DnType::CommonName, subject);
    let at = |hours: i64| rcgen_time(now.as_second() + hours * 3600);
    parameters.not_before = at(-BACKDATED_HOURS);
    parameters.not_after = at(days * 24);
    parameters
}

fn rcgen_time(second: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(second).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// A new authority. Its name must be its own: certificates are told apart by it.
///
/// # Errors
/// When the key cannot be made.
pub fn new_authority(name: &str, now: jiff::Timestamp) -> Result<Pair, CertificateError> {
    let make = |source| CertificateError::Make {
        subject: name.to_owned(),
        source,
    };
    let key = KeyPair::generate().map_err(make)?;
    let mut parameters = common(name, AUTHORITY_DAYS, now);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = parameters.self_signed(&key).map_err(make)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    })
}

/// A certificate signed by the authority for these names (DNS names or addresses).
///
/// # Errors
/// When the authority is unusable or the key cannot be made.
pub fn issue(
    authority: &Pair,
    subject: &str,
    names: &[String],
    purpose: Purpose,
    now: jiff::Timestamp,
) -> Result<Pair, CertificateError> {
    let make = |source| CertificateError::Make {
        subject: subject.to_owned(),
        source,
    };
    let signer = KeyPair::from_pem(authority.key.expose()).map_err(CertificateError::Authority)?;
    let issuer = rcgen::Issuer::from_ca_cert_pem(&authority.certificate, signer)
        .map_err(CertificateError::Authority)?;
    let key = KeyPair::generate().map_err(make)?;
    let mut parameters = common(subject, CERTIFICATE_DAYS, now);
    for name in names {
        parameters
            .subject_alt_names
            .push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(make)?),
            });
    }
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = match purpose {
        // etcd's gateway and members talk to themselves with their server certificate.
        Purpose::Server => {
            vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ]
        }
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    let certificate = parameters.signed_by(&key, &issuer).map_err(make)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    })
}

/// Whether a certificate (PEM) was signed by the authority, is valid now and names all of these.
pub fn covers(certificate: &str, authority: &str, names: &[String], now: jiff::Timestamp) -> bool {
    let parsed = |pem: &str| {
        x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .ok()
            .map(|(_, pem)| pem.contents)
    };
    let (Some(certificate), Some(authority)) = (parsed(certificate), parsed(authority)) else {
        return false;
    };
    let (Ok((_, certificate)), Ok((_, authority))) = (
        X509Certificate::from_der(&certificate),
        X509Certificate::from_der(&authority),
    ) else {
        return false;
    };
    let validity = certificate.validity();
    let valid = validity.not_before.timestamp() <= now.as_second()
        && now.as_second() < validity.not_after.timestamp();
    // Every authority has a name of its own, so a name tells whose signature it is.
    let ours = certificate.issuer() == authority.subject();
    let named = named(&certificate);
    valid && ours && names.iter().all(|name| named.contains(name))
}

fn named(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match **bytes {
                [a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
                ref long => {
                    let long: [u8; 16] = long.try_into().ok()?;
                    Some(IpAddr::from(long).to_string())
                }
            },
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_certificate_covers_its_names_until_it_expires_and_only_under_its_authority() {
        let authority = new_authority("authority-1", now()).unwrap();
        let other = new_authority("authority-2", now()).unwrap();
        let names = vec!["redis.shared.svc".to_owned(), "192.0.2.7".to_owned()];
        let pair = issue(&authority, "redis", &names, Purpose::Server, now()).unwrap();
        let covered =
            |names: &[String], at| covers(&pair.certificate, &authority.certificate, names, at);
        assert!(covered(&names, now()));
        assert!(!covered(&["192.0.2.8".to_owned()], now()));
        assert!(!covered(&names, "2030-01-01T00:00:00Z".parse().unwrap()));
        assert!(!covers(
            &pair.certificate,
            &other.certificate,
            &names,
            now()
        ));
        assert!(!covers(
            "no certificate",
            &authority.certificate,
            &names,
            now()
        ));
    }
}
