//! The queue against real servers.

use crate::servers::redis::RedisServer;

#[tokio::test]
async fn a_redis_server_starts_and_stops() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    assert_eq!(server.cli(&["PING"]), "PONG");
}
