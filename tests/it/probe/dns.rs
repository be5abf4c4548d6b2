//! Name resolution against name servers of our own.

use std::net::SocketAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use telectl::config::worker::{RedisServers, RedisSettings};
use telectl::model::endpoint::Endpoint;
use telectl::probe::dns::Resolver;
use telectl::probe::{Cause, Hop, Outcome, Target, probe};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::{failure, resolver};

/// A name server that knows `here.test` and answers everything else with one code. It lives as
/// long as the set of tasks.
async fn name_server(otherwise: ResponseCode) -> (SocketAddr, JoinSet<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut datagram = [0; 1500];
        while let Ok((length, asker)) = socket.recv_from(&mut datagram).await {
            let question = Message::from_vec(&datagram[..length]).expect("a DNS message");
            let query = question.queries[0].clone();
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            answer.add_query(query.clone());
            if query.name().to_ascii() == "here.test." {
                if query.query_type() == RecordType::A {
                    let data = RData::A(A::new(127, 0, 0, 1));
                    answer.add_answer(Record::from_rdata(query.name().clone(), 5, data));
                }
            } else {
                answer.metadata.response_code = otherwise;
            }
            let answer = answer.to_vec().expect("a DNS message");
            socket
                .send_to(&answer, asker)
                .await
                .expect("it can be sent");
        }
    });
    (address, tasks)
}

fn redis_at(host: &str) -> Target {
    Target::Redis(RedisSettings {
        servers: RedisServers::One(Endpoint::new(host, 1)),
        tls: false,
        ca_cert: None,
        username: None,
        password: None,
        database: 0,
        client: None,
        pipeline: "lab".to_owned(),
        shards: 1,
        claim_idle: std::time::Duration::from_secs(1),
    })
}

#[tokio::test]
async fn v12_a_name_that_does_not_exist_is_not_found() {
    let (server, _tasks) = name_server(ResponseCode::NXDomain).await;
    let (report, _) = probe(&redis_at("redis.nowhere.test"), &resolver(server)).await;
    let (hop, cause, detail) = failure(&report);
    assert_eq!((hop, cause.word()), (Hop::Dns, "name not found"));
    assert!(detail.contains("redis.nowhere.test"), "{detail}");
    assert_eq!(report.address(), Some(server.to_string().as_str()));
    assert!(matches!(report.hops[1].outcome, Outcome::Skipped { .. }));
}

#[tokio::test]
async fn v12_a_name_server_that_is_gone_is_dns_unreachable() {
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = gone.local_addr().unwrap();
    drop(gone);
    let (report, _) = probe(&redis_at("redis.nowhere.test"), &resolver(server)).await;
    assert_eq!(failure(&report).1.word(), "DNS unreachable");
    let (report, _) = probe(&Target::ClusterDns, &resolver(server)).await;
    assert_eq!(failure(&report).1, Cause::DnsUnreachable);
}

#[tokio::test]
async fn v12_a_name_server_that_is_silent_is_dns_unreachable_without_an_answer() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = silent.local_addr().unwrap();
    let (report, _) = probe(&Target::ClusterDns, &resolver(server)).await;
    assert_eq!(failure(&report).1, Cause::DnsTimedOut);
}

#[tokio::test]
async fn v12_a_name_server_that_fails_is_neither() {
    let (server, _tasks) = name_server(ResponseCode::ServFail).await;
    let (report, _) = probe(&redis_at("redis.nowhere.test"), &resolver(server)).await;
    assert_eq!(failure(&report).1, Cause::DnsFailed);
}

#[tokio::test]
async fn v12_a_suffix_leads_to_the_address_and_the_next_server_helps_out() {
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dead = gone.local_addr().unwrap();
    drop(gone);
    let (server, _tasks) = name_server(ResponseCode::NXDomain).await;
    let resolver = Resolver {
        nameservers: vec![dead, server],
        search: vec!["nowhere.test".to_owned(), "test".to_owned()],
        ndots: 5,
        hosts: Vec::new(),
    };
    let (report, _) = probe(&redis_at("here"), &resolver).await;
    assert_eq!(report.hops[0].outcome, Outcome::Passed);
    // The name was found; nothing listens on port 1 there.
    let (hop, cause, _) = failure(&report);
    assert_eq!((hop, cause.word()), (Hop::Tcp, "connection refused"));
    assert_eq!(report.address(), Some("127.0.0.1:1"));
}
