//! One question to one name server: over UDP, once more when nothing comes back, over TCP when
//! the answer does not fit.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// A datagram may get lost: how long to wait for each of two tries.
const TRIES: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(1200)];

/// Larger than any answer without EDNS.
const DATAGRAM: usize = 4096;

/// What a server answered.
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) addresses: Vec<IpAddr>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum ExchangeError {
    NoAnswer,
    Io(std::io::Error),
    Name,
    Malformed,
}

impl From<std::io::Error> for ExchangeError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Asks for records of one type.
pub(super) async fn exchange(
    server: SocketAddr,
    name: &str,
    record_type: RecordType,
) -> Result<Answer, ExchangeError> {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(name).map_err(|_| ExchangeError::Name)?;
    message.add_query(Query::query(name, record_type));
    let question = message.to_vec().map_err(|_| ExchangeError::Name)?;
    let id = message.metadata.id;
    let mut answer = over_udp(server, &question, id).await?;
    if answer.metadata.truncation {
        let limit = TRIES[1];
        answer = timeout(limit, over_tcp(server, &question))
            .await
            .map_err(|_| ExchangeError::NoAnswer)??;
    }
    Ok(Answer {
        code: answer.metadata.response_code,
        addresses: answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect(),
    })
}

/// A connected socket: an ICMP refusal comes back as an error, and strangers cannot answer.
async fn over_udp(server: SocketAddr, question: &[u8], id: u16) -> Result<Message, ExchangeError> {
    let local: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    for patience in TRIES {
        socket.send(question).await?;
        let received = timeout(patience, receive(&socket, id)).await;
        if let Ok(answer) = received {
            return answer;
        }
    }
    Err(ExchangeError::NoAnswer)
}

/// Answers to other questions (a late one to the first try) are passed over.
async fn receive(socket: &UdpSocket, id: u16) -> Result<Message, ExchangeError> {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut datagram).await?;
        let message = Message::from_vec(&datagram[..length]);
        let message = message.map_err(|_| ExchangeError::Malformed)?;
        if message.metadata.id == id && message.metadata.message_type == MessageType::Response {
            return Ok(message);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> Result<Message, ExchangeError> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| ExchangeError::Name)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(question).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(|_| ExchangeError::Malformed)
}
