//! The TLS handshake, and what the certificate says even when it is not accepted.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::model::secret::Secret;
use crate::store::postgres::is_about_name_only;

use super::course::{Failure, Reached, cause_of_io};
use super::result::{Cause, CertificateFacts};

/// How closely the certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scrutiny {
    /// Chain, name and validity.
    Full,
    /// Chain and validity.
    ChainOnly,
    /// Nothing, as `sslmode=require` has it.
    Nothing,
}

/// What a handshake needs.
#[derive(Debug)]
pub(super) struct TlsPolicy<'a> {
    /// The name that the certificate has to be for.
    pub(super) host: &'a str,
    /// PEM text of the authority.
    pub(super) ca: Option<&'a str>,
    /// The variable that the authority comes from, for messages.
    pub(super) ca_variable: &'static str,
    /// How closely to look.
    pub(super) scrutiny: Scrutiny,
    /// PEM texts of the client's certificate and key.
    pub(super) client: Option<(&'a str, &'a Secret<String>)>,
    /// Protocol to negotiate.
    pub(super) protocol: Option<&'static [u8]>,
}

/// An authority that signs certificates.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The variable that it comes from, for messages.
    pub variable: &'static str,
    /// PEM text.
    pub pem: String,
}

/// Keeps the certificate that the server showed.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl Witness {
    fn saw(&self, certificate: &CertificateDer<'_>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(certificate.clone().into_owned());
    }

    /// What the certificate says; `None` if none was shown or it cannot be read.
    pub(super) fn facts(&self) -> Option<CertificateFacts> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        facts(seen.as_ref()?)
    }
}

/// Does the handshake; the certificate stays with the witness.
pub(super) async fn handshake(
    stream: TcpStream,
    policy: TlsPolicy<'_>,
    witness: Witness,
) -> Result<Reached<TlsStream<TcpStream>>, Failure> {
    let config = client_config(&policy, &witness)?;
    let name = ServerName::try_from(policy.host.to_owned()).map_err(|_| {
        Failure::new(
            Cause::Misconfigured,
            format!("`{}` is no name that a certificate can be for", policy.host),
        )
    })?;
    match TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
    {
        Ok(stream) => Ok(Reached {
            value: stream,
            address: None,
        }),
        Err(error) => Err(judge(&error, &policy, &witness)),
    }
}

/// The public authorities, built in: an image of one binary has no system store, without which
/// reqwest makes no client at all, not even for plain HTTP.
pub fn public_authorities() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

/// TLS of an HTTP client that trusts these authorities.
///
/// # Errors
/// What rustls refuses about its own versions.
pub fn http_client_config(authorities: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder
        .with_root_certificates(authorities)
        .with_no_client_auth())
}

pub(super) fn misconfigured(text: String) -> Failure {
    Failure::new(Cause::Misconfigured, text)
}

fn client_config(policy: &TlsPolicy<'_>, witness: &Witness) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = match policy.scrutiny {
        Scrutiny::Nothing => None,
        Scrutiny::Full | Scrutiny::ChainOnly => Some(authority(policy, &provider)?),
    };
    let verifier = Recorder {
        inner,
        scrutiny: policy.scrutiny,
        witness: witness.clone(),
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| misconfigured(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match policy.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "the client certificate")?;
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                .map_err(|_| misconfigured("the client key is no PEM key".to_owned()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| misconfigured(format!("the client certificate: {error}")))?
        }
    };
    config.alpn_protocols = policy.protocol.map(<[u8]>::to_vec).into_iter().collect();
    Ok(config)
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(misconfigured(format!("{what} holds no PEM certificate"))),
    }
}

/// The authorities in the PEM text of a variable.
pub(super) fn roots(pem: &str, variable: &str) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, variable)? {
        roots
            .add(certificate)
            .map_err(|error| misconfigured(format!("{variable}: {error}")))?;
    }
    Ok(roots)
}

fn authority(
    policy: &TlsPolicy<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Failure> {
    let variable = policy.ca_variable;
    let pem = policy.ca.ok_or_else(|| {
        Failure::new(
            Cause::CertificateNotTrusted,
            format!("no certificate authority is configured ({variable} is not set)"),
        )
    })?;
    let roots = roots(pem, variable)?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| misconfigured(format!("{variable}: {error}")))
}

/// Remembers the certificate, then judges it as any client would.
#[derive(Debug)]
struct Recorder {
    inner: Option<Arc<WebPkiServerVerifier>>,
    scrutiny: Scrutiny,
    witness: Witness,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.witness.saw(certificate);
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        let judged = inner.verify_server_cert(certificate, intermediates, name, ocsp, now);
        match judged {
            Err(error) if self.scrutiny == Scrutiny::ChainOnly && is_about_name_only(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn judge(error: &std::io::Error, policy: &TlsPolicy<'_>, witness: &Witness) -> Failure {
    let Some(reason) = tls_error(error) else {
        let cause = match cause_of_io(error) {
            Cause::ProtocolError => Cause::TlsFailed,
            cause => cause,
        };
        return Failure::new(cause, format!("during the handshake: {error}"));
    };
    let facts = witness.facts();
    let (cause, detail) = match reason {
        rustls::Error::InvalidCertificate(invalid) => {
            certificate_verdict(invalid, policy, facts.as_ref())
        }
        rustls::Error::InvalidMessage(_) => (
            Cause::TlsFailed,
            "the server does not speak TLS on this port".to_owned(),
        ),
        other => match client_rejected(other) {
            Some(detail) => (Cause::AuthenticationFailed, detail),
            None => (Cause::TlsFailed, other.to_string()),
        },
    };
    Failure::new(cause, detail)
}

fn certificate_verdict(
    invalid: &CertificateError,
    policy: &TlsPolicy<'_>,
    facts: Option<&CertificateFacts>,
) -> (Cause, String) {
    use CertificateError as Invalid;
    let shown = |part: fn(&CertificateFacts) -> String| facts.map(part).unwrap_or_default();
    match invalid {
        Invalid::Expired | Invalid::ExpiredContext { .. } => (
            Cause::CertificateExpired,
            format!(
                "the certificate expired on {}",
                shown(|facts| facts.not_after.clone())
            ),
        ),
        Invalid::NotValidYet | Invalid::NotValidYetContext { .. } => (
            Cause::CertificateExpired,
            "the certificate is not valid yet: compare the clocks".to_owned(),
        ),
        Invalid::NotValidForName | Invalid::NotValidForNameContext { .. } => (
            Cause::CertificateNameMismatch,
            format!(
                "the certificate is for {}, not for {}",
                shown(|facts| facts.names.join(", ")),
                policy.host
            ),
        ),
        Invalid::UnknownIssuer | Invalid::BadSignature | Invalid::Other(_) => (
            Cause::CertificateNotTrusted,
            format!(
                "the certificate was signed by `{}`, not by the authority in {} (`{}`)",
                shown(|facts| facts.issuer.clone()),
                policy.ca_variable,
                authority_subject(policy.ca.unwrap_or_default())
            ),
        ),
        other => (Cause::CertificateNotTrusted, other.to_string()),
    }
}

/// With TLS 1.3 a server says only after the handshake that it wants another client certificate.
pub(super) fn client_rejected(error: &rustls::Error) -> Option<String> {
    use rustls::AlertDescription as Alert;
    match error {
        rustls::Error::AlertReceived(
            alert @ (Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::AccessDenied),
        ) => Some(format!(
            "the server does not accept the client certificate ({alert:?})"
        )),
        _ => None,
    }
}

/// The TLS error in an error of the operating system.
pub(super) fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

fn authority_subject(pem: &str) -> String {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .ok()
        .and_then(|certificate| {
            let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
            Some(parsed.subject().to_string())
        })
        .unwrap_or_default()
}

fn facts(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let not_after = parsed.validity().not_after.timestamp();
    let names = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| {
            extension
                .value
                .general_names
                .iter()
                .filter_map(name)
                .collect()
        })
        .unwrap_or_default();
    Some(CertificateFacts {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names,
        not_after: Timestamp::from_second(not_after).ok()?.to_string(),
        days_left: (not_after - Timestamp::now().as_second()).div_euclid(86_400),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes)
                .map(std::net::IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
