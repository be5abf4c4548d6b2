//! How a command reaches the registry: as the workers do.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::error::CliError;
use crate::config::environment::Environment;
use crate::config::worker::EtcdSettings;
use crate::model::exit::ExitCode;
use crate::registry::RegistryError;
use crate::registry::etcd::EtcdRegistry;

/// The variable that the flag beats.
const ENDPOINTS: &str = "ETCD_ENDPOINTS";
/// Variables that mean nothing without each other.
const PAIRS: [(&str, &str); 2] = [
    ("ETCD_USERNAME", "ETCD_PASSWORD"),
    ("ETCD_CLIENT_CERT", "ETCD_CLIENT_KEY"),
];

#[derive(Debug, Args)]
pub(super) struct AccessArgs {
    /// URL of etcd; may be given several times: the next is asked where one does not answer
    /// [env: ETCD_ENDPOINTS]
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    etcd_endpoints: Vec<String>,
}

/// A registry and where it is.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) registry: EtcdRegistry,
    /// The endpoints, for messages.
    pub(super) place: String,
}

impl AccessArgs {
    /// Reaches nothing yet.
    ///
    /// # Errors
    /// When no endpoint is named, or half of a login is.
    pub(super) fn open(&self, environment: &Environment) -> Result<Access, CliError> {
        for (one, other) in PAIRS {
            for (set, unset) in [(one, other), (other, one)] {
                if environment.get(set).is_some() && environment.get(unset).is_none() {
                    return Err(CliError::usage(format!("{set} is set and {unset} is not"))
                        .hint(format!("set {unset}, too, or unset {set}")));
                }
            }
        }
        let settings = EtcdSettings::from_environment(&self.over(environment))?;
        let settings = settings.filter(|settings| !settings.endpoints.is_empty());
        let Some(settings) = settings else {
            return Err(unnamed());
        };
        if settings.endpoints.iter().any(|url| url.contains('@')) {
            return Err(CliError::usage("an endpoint of etcd has a login in it")
                .hint("give it by ETCD_USERNAME and ETCD_PASSWORD instead"));
        }
        Ok(Access {
            place: settings.endpoints.join(","),
            registry: EtcdRegistry::new(settings),
        })
    }

    /// The environment with the flag in place of its variable.
    fn over(&self, environment: &Environment) -> Environment {
        if self.etcd_endpoints.is_empty() {
            return environment.clone();
        }
        let flag = (ENDPOINTS.to_owned(), self.etcd_endpoints.join(","));
        environment
            .without(&[ENDPOINTS.to_owned()])
            .or(&BTreeMap::from([flag]))
    }
}

fn unnamed() -> CliError {
    CliError::usage(format!(
        "no registry is named: neither --etcd-endpoints nor {ENDPOINTS} is given"
    ))
    .hint("--etcd-endpoints https://etcd.example:2379 names one")
    .hint(
        "one that speaks TLS needs ETCD_CA_CERT, and ETCD_CLIENT_CERT with ETCD_CLIENT_KEY or \
         ETCD_USERNAME with ETCD_PASSWORD, as its workers have them; certificates are PEM texts: \
         ETCD_CA_CERT=\"$(cat ca.crt)\"",
    )
    .hint("`telectl status -e … -c …` shows the registrations of clusters without any of them")
}

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        let made = Self::from_error(ExitCode::Error, &error);
        advised(made, &crate::model::causes::chain(&error))
    }
}

/// An error with what to do about what the client or the server said.
pub(super) fn advised(error: CliError, said: &str) -> CliError {
    match advice(said) {
        Some(advice) => error.hint(advice),
        None => error,
    }
}

/// Whether waiting does not mend what was said.
pub(super) fn is_for_good(said: &str) -> bool {
    advice(said).is_some_and(|advice| advice != NOBODY_LISTENS)
}

/// An etcd that is restarted says so, too.
const NOBODY_LISTENS: &str =
    "nobody listens there: compare --etcd-endpoints or ETCD_ENDPOINTS with where etcd is";

/// What to do, by what the client or the server said.
fn advice(said: &str) -> Option<&'static str> {
    const ADVICE: [(&str, &str); 8] = [
        (
            "user name is empty",
            "this etcd asks for a login: set ETCD_USERNAME and ETCD_PASSWORD",
        ),
        (
            "authentication failed",
            "ETCD_USERNAME and ETCD_PASSWORD are not a login of this etcd",
        ),
        (
            "permission denied",
            "the user's role lacks a right to the keys under /services/: `etcdctl role \
             grant-permission ROLE readwrite --prefix /services/` (read is enough, except for prune)",
        ),
        (
            "invalid peer certificate",
            "ETCD_CA_CERT has to be the authority that signed the certificate of this etcd (PEM text)",
        ),
        (
            "CertificateRequired",
            "this etcd asks for a certificate: set ETCD_CLIENT_CERT and ETCD_CLIENT_KEY (PEM texts)",
        ),
        (
            "InvalidContentType",
            "an etcd that speaks TLS is named by https://, one that does not by http://",
        ),
        (
            "tls handshake eof",
            "an etcd that speaks TLS is named by https://, one that does not by http://",
        ),
        ("onnection refused", NOBODY_LISTENS),
    ];
    let found = ADVICE.iter().find(|(words, _)| said.contains(words));
    found.map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(flags: &[&str], environment: &Environment) -> Result<String, String> {
        let args = AccessArgs {
            etcd_endpoints: flags.iter().map(|url| (*url).to_owned()).collect(),
        };
        let opened = args.open(environment);
        opened
            .map(|access| access.place)
            .map_err(|error| error.text())
    }

    #[test]
    fn x10_the_flag_beats_the_variable_and_several_endpoints_are_kept() {
        let environment = Environment::from([("ETCD_ENDPOINTS", "http://a:1, http://b:2")]);
        assert_eq!(open(&[], &environment).unwrap(), "http://a:1,http://b:2");
        assert_eq!(open(&["http://c:3"], &environment).unwrap(), "http://c:3");
    }

    #[test]
    fn n09_what_is_missing_is_named_and_no_secret_is() {
        let missing = open(&[], &Environment::default()).unwrap_err();
        assert!(missing.contains("--etcd-endpoints"), "{missing}");
        assert!(missing.contains("ETCD_ENDPOINTS"), "{missing}");
        let half = Environment::from([("ETCD_PASSWORD", "canary-90aa")]);
        let half = open(&["http://a"], &half).unwrap_err();
        assert!(half.contains("ETCD_USERNAME is not"), "{half}");
        assert!(!half.contains("canary-90aa"), "{half}");
        let inside = open(
            &["http://root:canary-90aa@etcd:2379"],
            &Environment::default(),
        );
        let inside = inside.unwrap_err();
        assert!(inside.contains("ETCD_USERNAME"), "{inside}");
        assert!(!inside.contains("canary-90aa"), "{inside}");
    }
}
