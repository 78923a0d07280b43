//! A way to PostgreSQL on which no notification arrives, as behind a transaction pooler.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use url::Url;

/// Passes everything on except NotificationResponse messages (`A` in the frontend/backend protocol).
pub(crate) struct DeafProxy {
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl DeafProxy {
    /// In front of the server that the URL names, by address or by the folder of its socket.
    pub(crate) async fn before(database: &str) -> Self {
        let server = Url::parse(database).expect("a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (_, name) = database.rsplit_once('/').expect("a URL with a database");
        let user = server.username();
        let url = format!("postgres://{user}@127.0.0.1:{port}/{name}?sslmode=disable");
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = server.clone();
                // Ends with either side; what goes wrong the daemon sees as a lost connection.
                tokio::spawn(async move { relay(client, &server).await });
            }
        });
        Self { url, task }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for DeafProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, server: &Url) -> io::Result<()> {
    let host = server.host_str().unwrap_or("127.0.0.1").replace("%2F", "/");
    let port = server.port().unwrap_or(5432);
    if host.starts_with('/') {
        let socket = UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?;
        both_ways(client, socket).await
    } else {
        both_ways(client, TcpStream::connect((host, port)).await?).await
    }
}

async fn both_ways(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Send + 'static,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    tokio::select! {
        ended = tokio::io::copy(&mut from_client, &mut to_server) => ended.map(drop),
        ended = without_notifications(&mut from_server, &mut to_client) => ended,
    }
}

async fn without_notifications(
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    loop {
        let kind = server.read_u8().await?;
        let length = server.read_u32().await?;
        // The length counts itself.
        let mut body = vec![0; usize::try_from(length).unwrap_or(4).saturating_sub(4)];
        server.read_exact(&mut body).await?;
        if kind != b'A' {
            client.write_u8(kind).await?;
            client.write_u32(length).await?;
            client.write_all(&body).await?;
        }
    }
}
