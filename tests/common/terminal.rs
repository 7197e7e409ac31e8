//! A pseudo-terminal with a program in its foreground, and the screen that an operator would look at.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A terminal with a program in its foreground.
pub struct Terminal {
    pub master: Option<File>,
    pub child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    close: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// A terminal of 24 rows and 80 columns.
    pub fn run(command: Command) -> Terminal {
        Terminal::of_size(command, 24, 80)
    }

    /// A terminal of some rows and columns.
    pub fn of_size(mut command: Command, rows: u16, columns: u16) -> Terminal {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: both numbers are written by the call, the size is read, and the optional arguments may be null.
        let made = unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null_mut(), &size) };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the call has just opened both, and nobody else has them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC).unwrap();
        rustix::io::fcntl_setfd(&slave, rustix::io::FdFlags::CLOEXEC).unwrap();
        let stdio = || slave.try_clone().unwrap();
        command.stdin(stdio()).stdout(stdio()).stderr(stdio()).env("TERM", "xterm");
        // SAFETY: between fork and exec only system calls are made: a session of its own, with this terminal.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The command keeps copies of the terminal's end that would keep it open.
        drop(command);
        drop(slave);
        let (shown, close) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let reader = std::thread::spawn({
            let (mut from, shown, close) = (master.try_clone().unwrap(), shown.clone(), close.clone());
            move || {
                let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                let mut piece = [0; 4096];
                while !close.load(Ordering::SeqCst) {
                    let mut fds = [rustix::event::PollFd::new(&from, rustix::event::PollFlags::IN)];
                    if rustix::event::poll(&mut fds, Some(&wait)).unwrap_or(0) == 0 {
                        continue;
                    }
                    match from.read(&mut piece) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => shown.lock().unwrap().extend_from_slice(&piece[..n]),
                    }
                }
            }
        });
        Terminal { master: Some(master), child, shown, close, reader: Some(reader) }
    }

    /// All text so far. A character may come in two pieces, so that only the whole is decoded.
    pub fn shows(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// The same with the lines whole that were broken for the width of the terminal.
    pub fn unbroken(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in self.shows().split("\r\n") {
            match lines.last_mut().filter(|_| line.starts_with("  ")) {
                Some(last) => *last += &format!(" {}", line.trim_start()),
                None => lines.push(line.to_owned()),
            }
        }
        lines.join("\n")
    }

    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        for _ in 0..600 {
            if self.shows().contains(text) || self.unbroken().contains(text) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("waited in vain for {text:?}; there is\n{}", self.shows());
    }

    /// Waits until all that the program has written is read, or for as long as something that it left behind keeps the
    /// terminal open, five seconds at most.
    pub fn drain(&self) {
        let reads = || self.reader.as_ref().is_some_and(|reader| !reader.is_finished());
        for _ in 0..100 {
            if !reads() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Types keys; `\x03` is Ctrl-C, `\x04` Ctrl-D.
    pub fn types(&mut self, keys: &str) {
        self.master.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Types keys, and waits for what is shown then.
    #[track_caller]
    pub fn types_and_sees(&mut self, keys: &str, text: &str) {
        self.types(keys);
        self.wait_for(text);
    }

    /// Waits for a question, and answers it.
    #[track_caller]
    pub fn answers(&mut self, question: &str, answer: &str) {
        self.wait_for(question);
        self.types(&format!("{answer}\n"));
    }

    /// Takes the terminal away from its program.
    pub fn hang_up(&mut self) {
        self.close.store(true, Ordering::SeqCst);
        self.reader.take().unwrap().join().unwrap();
        self.master = None;
    }

    #[track_caller]
    pub fn ends(&mut self, status: i32) {
        let ended = self.child.wait().unwrap();
        self.drain();
        assert_eq!(ended.code(), Some(status), "{ended}\n{}", self.shows());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close.store(true, Ordering::SeqCst);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
