//! Serial lines as links: opened, used until they are unplugged, and looked for until they are back.

use super::config::BindError;
use super::inner::Inner;
use super::links::Link;
use super::receive::Desk;
use crate::link::serial::{BITS_A_BYTE, Line, Port, SerialError};
use core::time::Duration;
use ropewalk_core::connection::{LinkChange, LinkInfo};
use ropewalk_core::id::{Address, Arrival, CostClass};
use std::sync::Arc;

impl Inner {
    /// Adds the lines' names to those of the other links.
    pub(super) fn name_lines(&self, names: &mut Vec<String>) -> Result<(), SerialError> {
        for line in &self.config.serial {
            let name = line.name();
            if names.contains(&name) {
                return Err(SerialError::SameName(name));
            }
            names.push(name);
        }
        Ok(())
    }

    /// Opens the lines that were asked for. One that is not there is waited for if there are other
    /// links; whatever else is wrong will not mend itself.
    pub(super) fn open_lines(self: &Arc<Self>) -> Result<(), BindError> {
        let mut absent = Vec::new();
        let mut opened = Vec::new();
        for config in &self.config.serial {
            if self.config.not.contains(&config.name()) {
                continue;
            }
            let line = Arc::new(Line::new(config.clone()));
            match line.open() {
                Ok(port) => {
                    self.line_up(&line);
                    opened.push((line, Some(port)));
                }
                Err(error @ SerialError::Absent(_)) => {
                    absent.push(error);
                    opened.push((line, None));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.links().is_empty()
            && let Some(error) = absent.pop()
        {
            return Err(error.into());
        }
        for (line, port) in opened {
            self.add_watcher(tokio::spawn(keep(self.clone(), line, port)).abort_handle());
        }
        Ok(())
    }

    fn line_up(&self, line: &Arc<Line>) {
        let name = line.config.name();
        let info = LinkInfo {
            mtu: line.config.mtu(),
            rate: Some(line.config.baud / BITS_A_BYTE),
            class: self.config.wishes.class(&name, CostClass::Wired),
            addresses: heapless::Vec::from_array([Address::Serial]),
            hidden: self.config.hidden,
        };
        let link = Link {
            name: name.clone(),
            interface: None,
            info: info.clone(),
            sockets: Vec::new(),
            receivers: Vec::new(),
            failures: Arc::default(),
            line: Some(line.clone()),
        };
        if let Some(id) = self.enter(link) {
            tracing::info!(link = name, "link up");
            self.tell(id, &LinkChange::Up(info));
        }
    }
}

/// Uses a line for as long as the endpoint lives, whenever it is plugged in.
async fn keep(inner: Arc<Inner>, line: Arc<Line>, mut port: Option<Port>) {
    let name = line.config.name();
    let mut desk = Desk::new(inner.clone());
    loop {
        let open = match port.take() {
            Some(port) => port,
            None => {
                let port = opened(&line).await;
                inner.line_up(&line);
                port
            }
        };
        let id = inner.links().find(&name);
        if let Some(link) = id {
            let at = Arrival { link, local: None, remote: Address::Serial };
            let each = |datagram: &mut [u8]| {
                desk.sort(at, core::iter::once(datagram), ());
                desk.send_off(|answer, ()| line.send(answer, answer.len()));
            };
            let error = line.carry(&open, each).await;
            tracing::info!(link = name, %error, "the serial line is gone");
            inner.remove(&name);
        }
        drop(open);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the line is there. Whatever keeps it from being opened now may be over soon: a system
/// that has just found a line first decides who may use it.
async fn opened(line: &Arc<Line>) -> Port {
    loop {
        let tried = Arc::clone(line);
        match tokio::task::spawn_blocking(move || tried.open()).await {
            Ok(Ok(port)) => return port,
            Ok(Err(error)) => tracing::trace!(line = %line.config, %error, "not there"),
            Err(error) => tracing::debug!(line = %line.config, %error, "cannot look"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How often a line that is gone is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
