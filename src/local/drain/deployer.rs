//! The deployer of a stage, which is asked to do something on its own host while the stage waits.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::local::fault::Fault;
use crate::local::out::Out;
use crate::threads;
use crate::wire::{DrainPart, DrainReply, NO_DEPLOYER, TargetEvent};

/// An answer may be this long, in bytes.
const LINE: u64 = 64 << 10;

/// How often the deployer hears that it is waited for: it looks then whether its command has ended.
const SIGN_OF_LIFE: Duration = Duration::from_millis(250);

/// What comes from the deployer behind the request.
#[derive(Clone)]
pub struct Deployer(Arc<Mutex<Receiver<Vec<u8>>>>);

impl Deployer {
    /// At the other end of the standard input.
    ///
    /// # Errors
    /// There is no thread to hear it with.
    pub fn at(input: Box<dyn Read + Send>) -> io::Result<Deployer> {
        let (tell, told) = mpsc::channel();
        threads::start(move || {
            let mut input = BufReader::new(input);
            loop {
                let mut line = Vec::new();
                match input.by_ref().take(LINE).read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if tell.send(line).is_err() => return,
                    Ok(_) => {}
                }
            }
        })?;
        Ok(Deployer(Arc::new(Mutex::new(told))))
    }

    /// Has it do a part of a drain, and waits for that until a moment. Without a connection nobody does it.
    pub fn ask(&self, out: &Out, part: DrainPart, until: Instant) -> Result<(), Fault> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.event(&TargetEvent::Wanted { part });
        loop {
            match told.recv_timeout(SIGN_OF_LIFE) {
                Ok(line) => {
                    let reply: Result<DrainReply, _> = serde_json::from_slice(&line);
                    return reply
                        .map_or_else(|_| Err(Fault::failed("unexpected answer from the deployer")), |it| it.outcome);
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => out.event(&TargetEvent::Alive),
                Err(RecvTimeoutError::Timeout) => return Err(Fault::failed("the deploy host did not answer in time")),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fault::failed(NO_DEPLOYER));
                }
            }
        }
    }
}
