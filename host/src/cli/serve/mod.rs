//! `ropewalk serve`: offers files and folders to whoever has its ticket, until Ctrl-C.

mod filling;

use super::args::Serve;
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::report::{Line, Report};
use super::session;
use crate::admission::Admission;
use crate::connection::Connection;
use crate::content::catalog::ItemKind;
use crate::home::Home;
use crate::human;
use crate::serve::protocol::SERVICE;
use crate::serve::shelf::Shelf;
use crate::serve::{CLOSING, Server};
use crate::ticket::Ticket;
use crate::tickets::{Tickets, Use};
use core::time::Duration;
use std::sync::Arc;
use tokio::task::JoinSet;

const SERVICES: &[&str] = &[SERVICE];
/// How long clients have to hear that the server closes.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// `ropewalk serve`.
///
/// # Errors
/// When a path cannot be offered, or it cannot wait at all. What goes wrong with one client is told, and the
/// others are served.
pub async fn serve(
    args: Serve,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let home = Home::from_environment()?;
    let filled = filling::fill(args.paths, &home, &report, &mut interrupt).await?;
    let admission = Admission::peers_and_tickets(home.clone());
    let endpoint = session::listen(&args.connect, &home, admission, SERVICES, &report).await?;
    let ticket = Tickets::new(home.clone()).ticket_to(&endpoint, Use::Lasting)?;
    let ticket = Ticket { root: filled.shelf.only_root(), ..ticket }.to_string();
    session::keep_ticket(args.ticket_file.as_deref(), &ticket)?;
    report.line(&Line::Ticket { ticket: &ticket });
    report.show(&ticket);
    filled.tell_left_out(&report);
    tell_offers(&filled.shelf, &report);
    report.say("serving; Ctrl-C ends it");
    let server = Arc::new(Server::new(Arc::new(filled.shelf), args.max_rate));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = endpoint.accept() => {
                let Some(connection) = accepted else { return Err(session::no_link_left()) };
                let (server, home, report) = (server.clone(), home.clone(), report.clone());
                clients.spawn(async move { attend(&server, &connection, &home, &report).await });
            }
            Some(_) = clients.join_next() => session::tell_lines(&endpoint, &report),
            () = interrupt.pressed() => {
                server.close();
                let told = async { while clients.join_next().await.is_some() {} };
                let _ = tokio::time::timeout(CLOSE_TIME, told).await;
                report.say(&format!("{} given", human::bytes(server.status().bytes)));
                return Err(Interrupt::failure());
            }
        }
    }
}

fn tell_offers(shelf: &Shelf, report: &Report) {
    for item in shelf.catalog().items() {
        let (root, name) = (item.root().to_hex(), item.name());
        let (entries, bytes) = match item.kind() {
            ItemKind::File(_) => (None, item.pieces().length()),
            ItemKind::Folder(totals) => (Some(totals.entries), totals.bytes),
        };
        report.line(&Line::Offered { name, entries, bytes, root: &root });
        let inside = entries.map(|count| format!("{count} files and folders, "));
        let (inside, size) = (inside.unwrap_or_default(), human::bytes(bytes));
        report.say(&format!("offers {name}: {inside}{size}, {root}"));
    }
}

async fn attend(server: &Server, connection: &Connection, home: &Home, report: &Report) {
    session::introduce(connection, home, report);
    match server.serve(connection).await {
        Ok(()) => session::close(connection, CLOSING, "").await,
        Err(error) => {
            let failure = Failure::from(error);
            session::give_up(connection, &failure).await;
            report.fail(&failure);
        }
    }
}
