//! Messages between the nodes that share a PostgreSQL: LISTEN and NOTIFY on one channel.
//!
//! A message is a hint. Whatever it says is in the rows as well, for nobody may be listening.

use std::fmt;
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{DbErr, RuntimeErr};

use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};

const CHANNEL: &str = "calendar_integration";
/// How operators recognise the connection among the others of a node.
const APPLICATION_NAME: &str = "calendar-integration listener";
/// How long a connection to listen on may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of its own that hears what the nodes tell each other.
pub struct Listener(PgListener);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Store {
    /// Tells every node that listens, this one included. PostgreSQL only; less than 8,000 bytes.
    pub async fn notify(&self, message: &str) -> Result<(), StoreError> {
        in_time(async {
            Sql::on(&self.write)
                .text("SELECT pg_notify(")
                .value(CHANNEL)
                .text(", ")
                .value(message)
                .text(")")
                .execute(&self.write)
                .await?;
            Ok(())
        })
        .await
    }

    /// Opens a connection that listens. PostgreSQL only.
    pub async fn listen(&self) -> Result<Listener, StoreError> {
        in_time(async {
            let pool = self.read.get_postgres_connection_pool();
            let options = pool.connect_options().as_ref().clone();
            // A pool of one, beside the other: a listener would take a place in it for good.
            let own = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(CONNECT_TIMEOUT)
                .max_lifetime(None)
                .idle_timeout(None)
                .connect_lazy_with(options.application_name(APPLICATION_NAME));
            let mut listener = PgListener::connect_with(&own).await.map_err(unheard)?;
            // Whoever listens must know that something may have been missed.
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await.map_err(unheard)?;
            Ok(Listener(listener))
        })
        .await
    }
}

impl Listener {
    /// The next message; an error if the connection is lost, and what came meanwhile with it.
    pub async fn next(&mut self) -> Result<String, StoreError> {
        match self.0.try_recv().await.map_err(unheard)? {
            Some(notification) => Ok(notification.payload().to_owned()),
            None => Err(StoreError::Unavailable(DbErr::Conn(RuntimeErr::Internal(
                "the listening connection was lost".to_owned(),
            )))),
        }
    }
}

fn unheard(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}
