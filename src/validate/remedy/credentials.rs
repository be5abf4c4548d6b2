//! Passwords and authorities: which of several places holds another value than the others.

use crate::deploy::secrets::AUTHORITY_SECRET;
use crate::model::component::Component;
use crate::model::shell::quoted;
use crate::probe::{Cause, TargetKind};
use crate::validate::facts::{EnvSource, Workload};
use crate::validate::finding::Remedy;
use crate::validate::observe::{Fingerprint, SecretKeyRef, SiteFacts};

use super::{Case, Server, argument, kubectl, restart};

/// A key of a Secret in a cluster.
#[derive(Clone)]
struct Place<'a> {
    site: &'a SiteFacts,
    secret: SecretKeyRef,
}

impl<'a> Place<'a> {
    /// Where a workload gets a variable from, if it is a Secret.
    fn of(site: &'a SiteFacts, workload: &Workload, variable: &str) -> Option<Self> {
        match workload.variable(variable)? {
            EnvSource::Secret { name, key } => Some(Self {
                site,
                secret: SecretKeyRef::new(&workload.namespace, name, key),
            }),
            _ => None,
        }
    }

    fn fingerprint(&self) -> Option<&Fingerprint> {
        self.site.fingerprints.get(&self.secret)
    }

    /// Whether its value is not known because this user may not read it.
    fn is_unread(&self) -> bool {
        let SecretKeyRef {
            namespace, name, ..
        } = &self.secret;
        let unread = &self.site.unread_secrets;
        unread.contains(&(namespace.clone(), name.clone()))
    }

    fn differs_from(&self, other: &Self) -> bool {
        match (self.fingerprint(), other.fingerprint()) {
            (Some(mine), Some(theirs)) => mine != theirs,
            // A Secret that is not there holds another value than one that is.
            (None, Some(_)) => !self.is_unread(),
            _ => false,
        }
    }

    /// Writes the value of another place here. It passes through a pipe and is never shown.
    fn copy_from(&self, source: &Self) -> String {
        let (from, to) = (&source.secret, &self.secret);
        let template = format!(
            "go-template={{{{index .data \"{}\" | base64decode}}}}",
            from.key
        );
        let read = format!(
            "{} get secret {} -o {}",
            kubectl(source.site, &from.namespace),
            quoted(&from.name),
            quoted(&template)
        );
        let here = kubectl(self.site, &to.namespace);
        format!(
            "{read} | {here} create secret generic {} {} --dry-run=client -o yaml | {here} apply \
             --server-side --force-conflicts -f -",
            quoted(&to.name),
            quoted(&format!("--from-file={}=/dev/stdin", to.key))
        )
    }
}

/// The login was refused.
pub(super) fn login(case: &Case<'_>) -> Remedy {
    let (_, password, _) = case.variables();
    let Some(workload) = case.workload() else {
        return Remedy::text(format!("correct {password} and deploy again"));
    };
    if case.target.kind == TargetKind::Etcd {
        return Remedy::run(
            format!(
                "etcd does not accept the client certificate in {}: deploying again signs another \
                 one, then start the workers again",
                case.origin(password)
            ),
            restart(case.site, workload),
        );
    }
    let mine = Place::of(case.site, workload, password);
    let server = case.server();
    let theirs = server
        .as_ref()
        .and_then(|server| password_of(server, case.target.kind));
    let places = [mine.as_ref(), theirs.as_ref()];
    if let Some(unread) = places.into_iter().flatten().find(|place| place.is_unread()) {
        return not_compared(unread);
    }
    match (mine, server, theirs) {
        (Some(mine), Some(_), Some(theirs)) if mine.differs_from(&theirs) => {
            let mut commands = vec![mine.copy_from(&theirs)];
            commands.extend(restart(case.site, workload));
            Remedy::run(
                format!(
                    "Secret {} in {} holds another value than the server's own in {}: copy that \
                     one (deploying again does so, too), then start the workers again",
                    mine.secret.name, case.site.context, theirs.site.context
                ),
                commands,
            )
        }
        (Some(_), Some(server), _) => server_differs(case, &server),
        (Some(mine), None, _) => Remedy::run(
            format!(
                "Secret {} does not hold what {} asks for: write the right value into its key {}, \
                 then start the workers again",
                mine.secret.name, case.target.endpoint, mine.secret.key
            ),
            restart(case.site, workload),
        ),
        (None, _, _) => Remedy::text(format!(
            "correct {} and deploy again",
            case.origin(password)
        )),
    }
}

/// Nothing can be said about a value that may not be read, and nothing is to be overwritten.
fn not_compared(unread: &Place<'_>) -> Remedy {
    let secret = &unread.secret;
    Remedy::run(
        format!(
            "Secret {} in {} may not be read, so it was not compared with the others: give the user \
             of this context leave to get it and validate again, or deploy again",
            secret.name, unread.site.context
        ),
        vec![format!(
            "{} auth can-i get {}",
            kubectl(unread.site, &secret.namespace),
            quoted(&format!("secrets/{}", secret.name))
        )],
    )
}

/// The variable with which a server is given its password.
fn password_of<'a>(server: &Server<'a>, kind: TargetKind) -> Option<Place<'a>> {
    let wanted: &[&str] = match kind {
        TargetKind::Redis => &["REDIS_PASSWORD", "REDISCLI_AUTH"],
        TargetKind::Postgresql => &["POSTGRES_PASSWORD", "DB_PASSWORD"],
        _ => &[],
    };
    wanted
        .iter()
        .find_map(|variable| Place::of(server.site, server.workload, variable))
}

/// The Secrets agree: the server itself runs with another password than its Secret says.
fn server_differs(case: &Case<'_>, server: &Server<'_>) -> Remedy {
    let mut commands = restart(server.site, server.workload);
    commands.push(format!(
        "{} rollout status {} --timeout 120s",
        kubectl(server.site, &server.workload.namespace),
        argument(server.workload)
    ));
    let mut whom = "it";
    if case.target.kind == TargetKind::Postgresql {
        // Its workers may have started before the Secret was changed.
        whom = "it, then its workers,";
        for component in [Component::Collector, Component::ApiGateway] {
            for workload in case.site.objects.workloads_of(component) {
                commands.extend(restart(case.site, workload));
            }
        }
    }
    Remedy::run(
        format!(
            "the Secrets agree, and the {} that runs in {} has another login, since it or its \
             Secret was changed: start {whom} again, and it takes the one of its Secret",
            case.target.kind, server.site.context
        ),
        commands,
    )
}

/// The authority that the worker trusts did not sign the server's certificate.
pub(super) fn authority(case: &Case<'_>) -> Remedy {
    let (_, _, variable) = case.variables();
    let Some(workload) = case.workload() else {
        return Remedy::text(format!("correct {variable} and deploy again"));
    };
    let Some(mine) = Place::of(case.site, workload, variable) else {
        return Remedy::text(format!(
            "give the worker the authority that signed the server's certificate: {}",
            case.origin(variable)
        ));
    };
    if mine.is_unread() {
        return not_compared(&mine);
    }
    match source_of_authority(case, &mine) {
        Some(source) => {
            let mut commands = vec![mine.copy_from(&source)];
            commands.extend(restart(case.site, workload));
            Remedy::run(
                format!(
                    "Secret {} in {} holds an authority that did not sign: copy the right one from \
                     Secret {} in {} (deploying again does so, too), then start the workers again",
                    mine.secret.name, case.site.context, source.secret.name, source.site.context
                ),
                commands,
            )
        }
        None => server_certificate(case),
    }
}

/// A place whose authority another worker uses with success, else telectl's own authority.
fn source_of_authority<'a>(case: &Case<'a>, mine: &Place<'a>) -> Option<Place<'a>> {
    let (_, _, variable) = case.variables();
    let of_others = case.observed.sites.iter().flat_map(|site| {
        site.reports().filter_map(move |(probe, report)| {
            let trusted = report.targets.iter().any(|target| {
                let failure = target.failed_hop().and_then(|hop| hop.outcome.failure());
                target.kind == case.target.kind
                    && target.certificate.is_some()
                    && failure.is_none_or(|(cause, _)| cause != Cause::CertificateNotTrusted)
            });
            let workload = site.objects.workloads.iter().find(|workload| {
                workload.namespace == probe.namespace && workload.name == probe.workload
            })?;
            trusted
                .then(|| Place::of(site, workload, variable))
                .flatten()
        })
    });
    let own = case.observed.sites.iter().flat_map(|site| {
        site.namespaces.iter().map(move |namespace| Place {
            site,
            secret: SecretKeyRef::new(namespace, AUTHORITY_SECRET, "tls.crt"),
        })
    });
    of_others
        .chain(own)
        .find(|place| place.fingerprint().is_some() && mine.differs_from(place))
}

/// Everybody trusts the same authority, so the server shows a certificate of another one.
fn server_certificate(case: &Case<'_>) -> Remedy {
    match case.server() {
        Some(server) => Remedy::run(
            "the workers trust the authority of this deployment, and the server shows a \
             certificate of another one: deploy again, and start the server again",
            restart(server.site, server.workload),
        ),
        None => Remedy::text(format!(
            "ask whoever runs {} for the authority that signed its certificate, and give it in \
             your values",
            case.target.endpoint
        )),
    }
}
