//! Exporters that are scraped. There is no dcgm-exporter without GPUs: what is scraped here is text of
//! its form, made by the test and served over real connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::program::LIMIT;
use crate::servers::eventually;

use super::Live;

/// What the exporter does with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Broken,
    Truncated,
    Huge,
    Slow,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    /// Which GPUs it has.
    gpus: Vec<u64>,
    /// Values that it answered whole, each another number.
    served: Vec<u64>,
    /// Requests that came, whatever became of them.
    asked: u64,
    next: u64,
    authorization: Option<String>,
}

/// An exporter of the test's own.
struct Exporter {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exporter {
    /// Its values begin at a number.
    async fn start(first: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Well,
            gpus: vec![0, 1],
            served: Vec::new(),
            asked: 0,
            next: first,
            authorization: None,
        }));
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    /// Waits until it was asked some more times.
    async fn asked_again(&self, times: u64) {
        let before = self.look(|state| state.asked);
        eventually("more scrapes", LIMIT, async || {
            (self.look(|state| state.asked) >= before + times).then_some(())
        })
        .await;
    }
}

/// The page of an exporter, with values that nobody has had, and what they are.
fn page(state: &mut State) -> (String, Vec<u64>) {
    let mut text = "# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).\n\
                    # TYPE DCGM_FI_DEV_GPU_UTIL gauge\n"
        .to_owned();
    let mut values = Vec::new();
    for gpu in &state.gpus {
        text.push_str(&format!(
            "DCGM_FI_DEV_GPU_UTIL{{gpu=\"{gpu}\",UUID=\"GPU-{gpu}\",device=\"nvidia{gpu}\",\
             modelName=\"NVIDIA H100\",Hostname=\"node-7\",container=\"c\",namespace=\"n\",pod=\"p\"}} {}\n",
            state.next
        ));
        values.push(state.next);
        state.next += 1;
    }
    text.push_str("DCGM_FI_DEV_GPU_TEMP{gpu=\"0\",UUID=\"GPU-0\" 40\n");
    (text, values)
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let (mood, text, values) = {
        let mut state = state.lock().unwrap();
        state.asked += 1;
        let authorization = request
            .lines()
            .find(|line| line.starts_with("authorization:"));
        state.authorization = authorization.map(str::to_owned);
        let (text, values) = page(&mut state);
        (state.mood, text, values)
    };
    let length = text.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let answer = match mood {
        Mood::Well => format!("{head}{text}"),
        Mood::Broken => {
            "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
        }
        Mood::Truncated => format!("{head}{}", &text[..length - 100]),
        Mood::Huge => {
            let rest = "#".repeat(200_000);
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{text}{rest}")
        }
        Mood::Slow => {
            // Longer than anybody waits for; the connection is closed by then.
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.read_u8().await);
            return;
        }
    };
    if mood == Mood::Well {
        state.lock().unwrap().served.extend(values);
    }
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

fn scraping(targets: &str) -> Vec<(&'static str, String)> {
    vec![
        ("SCRAPE_TARGETS", targets.to_owned()),
        ("SCRAPE_INTERVAL", "1s".to_owned()),
        ("SCRAPE_TIMEOUT", "1s".to_owned()),
        ("SCRAPE_LIMIT", "100000".to_owned()),
        ("STREAMER_REPLICAS", "2".to_owned()),
    ]
}

/// Waits until the store has every value that these exporters answered whole, each once.
async fn assert_stored(live: &Live, exporters: &[&Exporter]) {
    let served = || {
        let all = exporters.iter();
        let mut served: Vec<u64> = all
            .flat_map(|one| one.look(|state| state.served.clone()))
            .collect();
        served.sort_unstable();
        served
    };
    eventually("what was served", LIMIT, async || {
        let before = served();
        let stored = live.stored();
        let is_there = |value: &u64| stored.contains_key(value);
        before.iter().all(is_there).then_some(())
    })
    .await;
    let stored = live.stored();
    assert!(stored.values().all(|times| *times == 1), "{stored:?}");
    let served = served();
    assert!(stored.keys().all(|value| served.contains(value)));
}

#[tokio::test]
async fn what_is_scraped_is_stored_once_and_a_target_that_fails_stops_no_other() {
    let (one, other) = (Exporter::start(0).await, Exporter::start(1_000_000).await);
    let targets = format!("{},{}", one.url(), other.url());
    let Some(mut live) = Live::start(|_| {
        let mut variables = scraping(&targets);
        variables.push(("SCRAPE_TOKEN", "canary-token".to_owned()));
        variables
    })
    .await
    else {
        return;
    };
    live.streamer("streamer-0").await;
    one.asked_again(3).await;
    assert_stored(&live, &[&one, &other]).await;
    let authorization = one.look(|state| state.authorization.clone());
    assert_eq!(
        authorization.as_deref(),
        Some("authorization: Bearer canary-token")
    );
    for mood in [Mood::Broken, Mood::Truncated, Mood::Huge, Mood::Slow] {
        one.set(|state| state.mood = mood);
        one.asked_again(2).await;
        let before = other.look(|state| state.served.len());
        eventually("the other one", LIMIT, async || {
            (other.look(|state| state.served.len()) > before + 2).then_some(())
        })
        .await;
        let status = live.status(0).await.to_string();
        assert!(!status.contains("canary"), "{status}");
    }
    one.set(|state| {
        state.mood = Mood::Well;
        state.gpus = vec![1, 2, 3];
    });
    eventually("the new GPU", LIMIT, async || {
        let uuids = live.sql("SELECT count(*) FROM series WHERE uuid = 'GPU-3' AND pod = 'p'");
        (uuids == "1").then_some(())
    })
    .await;
    assert_stored(&live, &[&one, &other]).await;
    // A broken line costs itself only.
    let bad = live.sql("SELECT DISTINCT reason FROM quarantine");
    assert_eq!(bad, "no comma or brace after label `UUID`");
    another_start(&mut live, &[&one, &other]).await;
    assert_stored(&live, &[&one, &other]).await;
    assert_eq!(live.sql("SELECT count(DISTINCT pass) FROM ledger"), "4");
    let report = live.assert_proven(0, &[]).await;
    let sources = report["sources"].as_array().unwrap();
    assert!(
        sources.iter().all(|one| one["state"] == "growing"),
        "{report:#}"
    );
    assert!(sources.iter().all(|one| one["gaps"] == 0), "{report:#}");
}

#[tokio::test]
async fn a_target_is_scraped_by_one_streamer_and_taken_over_when_that_dies() {
    let exporter = Exporter::start(0).await;
    let named = format!("dns+http://localhost:{}/metrics", exporter.address.port());
    let Some(mut live) = Live::start(|_| scraping(&named)).await else {
        return;
    };
    live.streamer("streamer-0").await;
    exporter.asked_again(2).await;
    live.streamer("streamer-1").await;
    exporter.asked_again(5).await;
    assert_stored(&live, &[&exporter]).await;
    let streamers = "SELECT string_agg(DISTINCT streamer, ',') FROM ledger";
    assert_eq!(live.sql(streamers), "streamer-0");
    // By its address, not by its name.
    let name = live.sql("SELECT DISTINCT name FROM source WHERE name LIKE '%127.0.0.1%'");
    assert_eq!(name, exporter.url());
    live.kill(0).await;
    eventually("the other streamer", LIMIT, async || {
        (live.sql(streamers) == "streamer-0,streamer-1").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_has_no_room_in_the_spool_is_lost_and_counted() {
    let exporter = Exporter::start(0).await;
    let Some(mut live) = Live::start(|_| {
        let mut variables = scraping(&exporter.url());
        variables.push(("SPOOL_LIMIT", "2000".to_owned()));
        variables
    })
    .await
    else {
        return;
    };
    live.streamer("streamer-0").await;
    exporter.asked_again(2).await;
    live.collector.signal("STOP");
    let dropped = async |least: f64| {
        eventually("scrapes that were dropped", LIMIT, async || {
            let dropped = dropped(&live).await?;
            (dropped >= least).then_some(dropped)
        })
        .await
    };
    let before = dropped(1.0).await;
    // Nobody asks while nothing can be kept.
    let asked = exporter.look(|state| state.asked);
    dropped(before + 3.0).await;
    assert_eq!(exporter.look(|state| state.asked), asked);
    live.collector.signal("CONT");
    exporter.asked_again(3).await;
    assert_stored(&live, &[&exporter]).await;
}

async fn dropped(live: &Live) -> Option<f64> {
    let url = format!("http://127.0.0.1:{}/metrics", live.streamers[0].port);
    let metrics = crate::servers::get(&url).await.ok()?.text().await.ok()?;
    let mut lines = metrics.lines();
    let dropped = lines.find(|line| line.starts_with("telectl_streamer_scrapes_dropped_total"))?;
    dropped.rsplit(' ').next()?.parse().ok()
}

/// What was answered and is not in the spool when the streamer is killed would be lost.
async fn another_start(live: &mut Live, exporters: &[&Exporter]) {
    for exporter in exporters {
        exporter.set(|state| state.mood = Mood::Broken);
        exporter.asked_again(2).await;
    }
    live.kill(0).await;
    live.start_again(0, &[]).await;
    for exporter in exporters {
        exporter.set(|state| state.mood = Mood::Well);
        exporter.asked_again(3).await;
    }
}
