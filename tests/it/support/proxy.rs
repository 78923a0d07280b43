//! A TCP proxy in front of a server, with the troubles of networks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use url::Url;

/// What happens to bytes and to new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    /// Nothing passes, and nothing says so.
    Stalled,
    /// Every piece is late by this.
    Slow(Duration),
    /// New connections are closed at once.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct State {
    line: Line,
    /// Connections with lower numbers are cut.
    cut_below: u64,
    /// Connections with lower numbers hang for ever.
    lost_below: u64,
}

/// In front of one server, until dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    next: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Debug)]
enum Server {
    Tcp(String),
    Unix(PathBuf),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Proxy {
    /// In front of the server that a PostgreSQL URL names; with the URL that leads through here.
    pub(crate) async fn of_postgres(url: &str) -> (Self, String) {
        let mut url = Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host").replace("%2F", "/");
        let port = url.port().unwrap_or(5432);
        let server = if host.starts_with('/') {
            Server::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
        } else {
            Server::Tcp(format!("{host}:{port}"))
        };
        let proxy = Self::start(server).await;
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(proxy.address.port())).expect("a port");
        (proxy, url.into())
    }

    /// In front of an HTTP server; with the URL that leads through here.
    pub(crate) async fn of_http(url: &Url) -> (Self, Url) {
        let port = url.port_or_known_default().expect("a port");
        let host = url.host_str().expect("a host");
        let proxy = Self::start(Server::Tcp(format!("{host}:{port}"))).await;
        let mut url = url.clone();
        url.set_port(Some(proxy.address.port())).expect("a port");
        (proxy, url)
    }

    async fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = watch::Sender::new(State {
            line: Line::Open,
            cut_below: 0,
            lost_below: 0,
        });
        let next = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(accept(listener, server, state.clone(), next.clone()));
        Self {
            address,
            state,
            next,
            accepting,
        }
    }

    /// All connections break; new ones come through.
    pub(crate) fn cut(&self) {
        let below = self.next.load(Ordering::Relaxed);
        self.state.send_modify(|state| state.cut_below = below);
    }

    /// All connections break, and new ones are refused.
    pub(crate) fn refuse(&self) {
        self.set(Line::Refused);
        self.cut();
    }

    /// Present connections hang for ever; new ones come through.
    pub(crate) fn lose(&self) {
        let below = self.next.load(Ordering::Relaxed);
        self.state.send_modify(|state| state.lost_below = below);
    }

    pub(crate) fn stall(&self) {
        self.set(Line::Stalled);
    }

    pub(crate) fn slow_down(&self, by: Duration) {
        self.set(Line::Slow(by));
    }

    /// As if nothing had been.
    pub(crate) fn open(&self) {
        self.set(Line::Open);
    }

    fn set(&self, line: Line) {
        self.state.send_modify(|state| state.line = line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    server: Server,
    state: watch::Sender<State>,
    next: Arc<AtomicU64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if state.borrow().line == Line::Refused {
            continue;
        }
        let (server, state) = (server.clone(), state.subscribe());
        tokio::spawn(async move {
            // Without a server the client sees its connection closed.
            let Ok(server) = server.connect().await else {
                return;
            };
            let (client_reads, client_writes) = tokio::io::split(client);
            let (server_reads, server_writes) = tokio::io::split(server);
            tokio::select! {
                () = pass(id, client_reads, server_writes, state.clone()) => {}
                () = pass(id, server_reads, client_writes, state.clone()) => {}
                () = is_cut(id, state) => {}
            }
        });
    }
}

impl Server {
    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

async fn is_cut(id: u64, mut state: watch::Receiver<State>) {
    // An error means that the proxy is gone.
    let _ = state.wait_for(|state| id < state.cut_below).await;
}

async fn pass(
    id: u64,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut piece).await.unwrap_or(0);
        let passes = |state: &State| {
            let is_open = match state.line {
                Line::Open | Line::Slow(_) | Line::Refused => true,
                Line::Stalled => false,
            };
            is_open && id >= state.lost_below
        };
        // Also the end: a lost connection does not even learn that the other side closed it.
        let line = state.wait_for(passes).await.map(|state| state.line);
        if let Ok(Line::Slow(by)) = line {
            tokio::time::sleep(by).await;
        }
        if read == 0 || to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
