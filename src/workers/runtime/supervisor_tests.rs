use std::sync::{Arc, Mutex};

use futures::stream;
use tokio::sync::mpsc;

use super::*;

/// Far longer than any of these tests: reaching it is a failure.
const LONG: Duration = Duration::from_secs(60);

fn supervisor(grace: Duration) -> Supervisor {
    let times = StopTimes {
        notice: Duration::ZERO,
        grace,
    };
    Supervisor::new(Vitals::default(), times)
}

fn one_signal() -> impl Stream<Item = Signal> + Unpin {
    stream::iter([Signal::Terminate]).chain(stream::pending())
}

#[tokio::test]
async fn w18_the_http_server_ends_after_the_work() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut supervisor = supervisor(LONG);
    for (name, phase) in [("http", Phase::Last), ("core", Phase::Work)] {
        let (order, token) = (Arc::clone(&order), supervisor.token(phase));
        supervisor.start(name, phase, async move {
            token.cancelled().await;
            order.lock().unwrap().push(name);
            Ok(())
        });
    }
    let vitals = supervisor.vitals.clone();
    assert_eq!(supervisor.run(one_signal()).await, Ended::Stopped);
    assert_eq!(*order.lock().unwrap(), ["core", "http"]);
    assert!(!vitals.is_ready());
}

#[tokio::test]
async fn a_task_that_ends_well_stops_nobody() {
    let mut supervisor = supervisor(LONG);
    let (done, mut ended) = mpsc::channel(1);
    supervisor.start("core", Phase::Work, async move {
        drop(done);
        Ok(())
    });
    let signals = Box::pin(stream::once(async move {
        assert_eq!(ended.recv().await, Option::<()>::None);
        Signal::Terminate
    }));
    let ended = supervisor.run(signals.chain(stream::pending())).await;
    assert_eq!(ended, Ended::Stopped);
}

#[tokio::test]
async fn a_failed_task_stops_the_others_and_its_causes_are_told() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `x`")]
    struct Outer(#[source] std::io::Error);

    let mut supervisor = supervisor(LONG);
    let token = supervisor.token(Phase::Work);
    supervisor.start("other", Phase::Work, async move {
        token.cancelled().await;
        Ok(())
    });
    supervisor.start("core", Phase::Work, async {
        Err(Outer(std::io::Error::other("disk on fire")).into())
    });
    let ended = supervisor.run(stream::pending()).await;
    let reason = "cannot read `x`: disk on fire".to_owned();
    assert_eq!(
        ended,
        Ended::Failed {
            task: "core",
            reason
        }
    );
}

#[tokio::test]
async fn a_panic_is_a_failure() {
    let mut supervisor = supervisor(LONG);
    supervisor.start("core", Phase::Work, async {
        panic!("index {} is out of bounds", 7)
    });
    let reason = "panicked: index 7 is out of bounds".to_owned();
    assert_eq!(
        supervisor.run(stream::pending()).await,
        Ended::Failed {
            task: "core",
            reason
        }
    );
}

#[tokio::test]
async fn w18_the_end_of_the_grace_time_names_what_still_runs() {
    let mut supervisor = supervisor(Duration::from_millis(20));
    supervisor.start("core", Phase::Work, std::future::pending());
    let ended = supervisor.run(one_signal()).await;
    assert_eq!(ended, Ended::GracePassed(vec!["core"]));
}

#[tokio::test]
async fn w18_a_second_signal_aborts() {
    let mut supervisor = supervisor(LONG);
    supervisor.start("core", Phase::Work, std::future::pending());
    let signals = stream::iter([Signal::Terminate, Signal::Interrupt]);
    let ended = supervisor.run(signals.chain(stream::pending())).await;
    assert_eq!(ended, Ended::Aborted(Signal::Interrupt));
}
