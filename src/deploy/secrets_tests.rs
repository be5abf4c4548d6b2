use super::super::certificates::new_authority;
use super::*;

fn now() -> jiff::Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn need(name: &str, keys: &[(&str, SecretContent)]) -> SecretNeed {
    let key = |(key, content): &(&str, SecretContent)| SecretKey {
        key: (*key).to_owned(),
        content: *content,
    };
    SecretNeed {
        name: name.to_owned(),
        keys: keys.iter().map(key).collect(),
    }
}

fn live(ours: bool, data: &[(&str, &str)]) -> LiveSecret {
    let data = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Secret::new(value.as_bytes().to_vec())));
    LiveSecret {
        ours,
        rotated_at: None,
        data: data.collect(),
    }
}

fn decide(
    need: &SecretNeed,
    live: Option<&LiveSecret>,
    vault: &mut Vault,
    hosts: bool,
    make: Making,
) -> Result<SecretPlan, SecretError> {
    decide_at(now(), need, live, vault, (hosts, make))
}

fn decide_at(
    now: jiff::Timestamp,
    need: &SecretNeed,
    live: Option<&LiveSecret>,
    vault: &mut Vault,
    (hosts, make): (bool, Making),
) -> Result<SecretPlan, SecretError> {
    let names = |_: Component| Some(vec!["redis.shared.svc".to_owned()]);
    let circumstances = Circumstances {
        namespace: "ns",
        names: &names,
        hosts: &|_| hosts,
        make,
        password: || "fresh-password".to_owned(),
        now,
    };
    plan(need, live, vault, &circumstances)
}

fn redis_auth() -> SecretNeed {
    need("redis-auth", &[("password", SecretContent::RedisPassword)])
}

#[test]
fn n10_a_missing_password_is_generated_where_the_server_runs_and_handed_over_elsewhere() {
    let mut vault = Vault::default();
    let made = decide(&redis_auth(), None, &mut vault, true, Making::Real).unwrap();
    assert_eq!(made.keys, [("password".to_owned(), Origin::Generated)]);
    let handed = decide(&redis_auth(), None, &mut vault, false, Making::Real).unwrap();
    assert_eq!(handed.keys, [("password".to_owned(), Origin::HandedOver)]);
    let data = |plan: &SecretPlan| plan.manifest.as_ref().unwrap().value["data"].clone();
    assert_eq!(data(&made), data(&handed));
}

#[test]
fn planning_makes_nothing_up() {
    let mut vault = Vault::default();
    let planned = decide(&redis_auth(), None, &mut vault, true, Making::Planned).unwrap();
    assert!(planned.changes() && planned.manifest.is_none() && vault.known.is_empty());
}

#[test]
fn a_secret_that_is_right_stays_and_a_wrong_one_of_ours_is_put_right() {
    let mut vault = Vault::default();
    let right = live(true, &[("password", "shared")]);
    assert!(
        !decide(&redis_auth(), Some(&right), &mut vault, true, Making::Real)
            .unwrap()
            .changes()
    );
    let wrong = live(true, &[("password", "edited")]);
    let mended = decide(&redis_auth(), Some(&wrong), &mut vault, false, Making::Real).unwrap();
    assert_eq!(mended.keys, [("password".to_owned(), Origin::HandedOver)]);
    assert_eq!(
        mended.manifest.unwrap().value["data"]["password"],
        STANDARD.encode("shared")
    );
}

#[test]
fn a_secret_that_the_user_made_is_never_changed_but_must_be_complete() {
    let mut vault = Vault::default();
    vault
        .known
        .insert(SecretContent::RedisPassword, Secret::from("another"));
    let theirs = live(false, &[("password", "theirs")]);
    let kept = decide(&redis_auth(), Some(&theirs), &mut vault, true, Making::Real).unwrap();
    assert!(!kept.changes());
    let incomplete = live(false, &[("other", "x")]);
    let error = decide(
        &redis_auth(),
        Some(&incomplete),
        &mut vault,
        true,
        Making::Real,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Secret ns/redis-auth needs the key `password`, which telectl cannot make"
    );
}

fn redis_tls() -> SecretNeed {
    need(
        "redis-tls",
        &[
            ("tls.crt", SecretContent::RedisServerCertificate),
            ("tls.key", SecretContent::RedisServerKey),
            ("ca.crt", SecretContent::CaCertificate(Component::Redis)),
        ],
    )
}

#[test]
fn a_certificate_is_signed_anew_well_before_it_ends_and_the_plan_says_why() {
    let mut vault = Vault {
        authority: Some(new_authority("authority", now()).unwrap()),
        ..Vault::default()
    };
    let first = decide(&redis_tls(), None, &mut vault, true, Making::Real).unwrap();
    assert_eq!(first.renewals, [], "there was none to be renewed");
    let applied = LiveSecret::from_object(&first.manifest.unwrap().value);
    let mut later = |days: i64, make| {
        let at = jiff::Timestamp::from_second(now().as_second() + days * 86_400).unwrap();
        decide_at(at, &redis_tls(), Some(&applied), &mut vault, (true, make)).unwrap()
    };
    let young = later(825 - 30, Making::Real);
    assert!(!young.changes() && young.renewals.is_empty());
    let planned = later(825 - 12, Making::Planned);
    assert_eq!(
        planned.renewals,
        [(Component::Redis, Purpose::Server, Lack::DaysLeft(12))]
    );
    assert!(planned.changes() && planned.manifest.is_none());
    let renewed = later(825 - 12, Making::Real).manifest.unwrap();
    let renewed = LiveSecret::from_object(&renewed.value);
    assert_ne!(renewed.text("tls.crt"), applied.text("tls.crt"));
    assert_eq!(renewed.text("ca.crt"), applied.text("ca.crt"));
}

#[test]
fn a_server_certificate_is_issued_once_and_again_when_it_does_not_cover() {
    let tls = redis_tls();
    let mut vault = Vault {
        authority: Some(new_authority("authority-1", now()).unwrap()),
        ..Vault::default()
    };
    let first = decide(&tls, None, &mut vault, true, Making::Real).unwrap();
    let applied = LiveSecret::from_object(&first.manifest.unwrap().value);
    let again = decide(&tls, Some(&applied), &mut vault, true, Making::Real).unwrap();
    assert!(!again.changes(), "{:?}", again.keys);
    vault.authority = Some(new_authority("authority-2", now()).unwrap());
    let other = decide(&tls, Some(&applied), &mut vault, true, Making::Real).unwrap();
    assert_eq!(other.keys[0].1, Origin::Issued);
    assert_eq!(other.keys[2].1, Origin::HandedOver);
}

fn rotating(what: Rotated) -> Vault {
    Vault {
        rotation: Rotation::of([what], now()),
        ..Vault::default()
    }
}

#[test]
fn n10_a_rotated_password_is_made_anew_once_where_its_server_runs_and_handed_over_from_there() {
    let old = live(true, &[("password", "old")]);
    let mut vault = rotating(Rotated::RedisPassword);
    let mut decide = |live: &LiveSecret, hosts, make| {
        decide(&redis_auth(), Some(live), &mut vault, hosts, make).unwrap()
    };
    let origin = |planned: &SecretPlan| planned.keys[0].1;
    let planned = decide(&old, true, Making::Planned);
    assert_eq!(origin(&planned), Origin::Generated);
    assert!(planned.manifest.is_none(), "planning makes nothing up");
    let elsewhere = decide(&old, false, Making::Planned);
    assert_eq!(origin(&elsewhere), Origin::HandedOver);

    let made = decide(&old, true, Making::Real).manifest.unwrap();
    let made = LiveSecret::from_object(&made.value);
    assert_eq!(made.text("password").as_deref(), Some("fresh-password"));
    let handed = decide(&old, false, Making::Real).manifest.unwrap();
    let handed = LiveSecret::from_object(&handed.value);
    assert_eq!(handed.text("password").as_deref(), Some("fresh-password"));
    // As an interrupted run finds it.
    let mut resumed = rotating(Rotated::RedisPassword);
    let again = super::plan(
        &redis_auth(),
        Some(&made),
        &mut resumed,
        &Circumstances {
            namespace: "ns",
            names: &|_| None,
            hosts: &|_| true,
            make: Making::Real,
            password: || panic!("it was rotated already"),
            now: now(),
        },
    );
    assert!(!again.unwrap().changes());
}

#[test]
fn n10_rotated_certificates_are_signed_anew_once() {
    let authority = new_authority("authority", now()).unwrap();
    let mut vault = Vault {
        authority: Some(authority.clone()),
        ..Vault::default()
    };
    let first = decide(&redis_tls(), None, &mut vault, true, Making::Real).unwrap();
    let first = LiveSecret::from_object(&first.manifest.unwrap().value);
    let mut vault = Vault {
        authority: Some(authority),
        ..rotating(Rotated::Certificates)
    };
    let rotated = decide(&redis_tls(), Some(&first), &mut vault, true, Making::Real).unwrap();
    assert_eq!(
        rotated.renewals,
        [(Component::Redis, Purpose::Server, Lack::Rotation)]
    );
    let second = LiveSecret::from_object(&rotated.manifest.unwrap().value);
    assert_ne!(second.text("tls.crt"), first.text("tls.crt"));
    assert_eq!(second.text("ca.crt"), first.text("ca.crt"));
    let third = decide(&redis_tls(), Some(&second), &mut vault, true, Making::Real).unwrap();
    assert!(!third.changes());
}

#[test]
fn n10_a_password_of_somebody_else_is_not_rotated_and_their_certificate_is_told() {
    let theirs = live(false, &[("password", "theirs")]);
    let mut vault = rotating(Rotated::RedisPassword);
    let error = decide(&redis_auth(), Some(&theirs), &mut vault, true, Making::Real);
    assert_eq!(
        error.unwrap_err().to_string(),
        "Secret ns/redis-auth is not telectl's, so its key `password` is not rotated"
    );
    let certificate = live(
        false,
        &[("tls.crt", "a"), ("tls.key", "b"), ("ca.crt", "c")],
    );
    let authority = rotating(Rotated::Authority).rotation;
    let refused =
        |live: Option<&LiveSecret>| authority.refuse_foreign_authority("ns", live).is_err();
    assert!(refused(Some(&theirs)) && !refused(Some(&live(true, &[]))) && !refused(None));
    let mut vault = rotating(Rotated::Certificates);
    let kept = decide(
        &redis_tls(),
        Some(&certificate),
        &mut vault,
        true,
        Making::Real,
    )
    .unwrap();
    assert!(!kept.changes() && kept.holds_foreign_certificate);
}

#[test]
fn the_digest_tells_a_change_and_needs_the_key() {
    let one = live(true, &[("password", "a")]).data;
    let two = live(true, &[("password", "b")]).data;
    let key = Secret::from("key");
    assert_eq!(digest(&key, &[("s", &one)]), digest(&key, &[("s", &one)]));
    assert_ne!(digest(&key, &[("s", &one)]), digest(&key, &[("s", &two)]));
    assert_ne!(
        digest(&key, &[("s", &one)]),
        digest(&Secret::from("other"), &[("s", &one)])
    );
}
