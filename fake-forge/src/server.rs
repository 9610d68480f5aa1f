//! A listener on 127.0.0.1 with a thread for each connection; all of them end when it is dropped.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Locks, also after another thread panicked while it held the lock: that thread's test fails by itself.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bound port on which nobody answers yet.
pub struct Port(TcpListener);

impl Port {
    /// A free port of 127.0.0.1.
    pub fn bind() -> Port {
        Port(TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1"))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound listener has an address")
    }

    /// Answers each connection with `handler`, in a thread of its own.
    pub fn serve(self, handler: impl Fn(TcpStream, &Life) + Send + Sync + 'static) -> Server {
        let address = self.address();
        let life = Arc::new(Life::default());
        let handler = Arc::new(handler);
        let acceptor = thread::spawn({
            let life = Arc::clone(&life);
            move || {
                while let Ok((socket, _)) = self.0.accept() {
                    if !life.spawn(socket, &handler) {
                        break;
                    }
                }
            }
        });
        Server { address, life, acceptor: Some(acceptor) }
    }
}

/// A running listener.
pub struct Server {
    pub address: SocketAddr,
    pub life: Arc<Life>,
    acceptor: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let workers = self.life.stop();
        let _ = TcpStream::connect(self.address); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for worker in workers {
            let _ = worker.join();
        }
    }
}

/// What the threads of a server share: it ends their sleeps and their sockets.
#[derive(Default)]
pub struct Life {
    inner: Mutex<Inner>,
    wake: Condvar,
    accepted: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    stopping: bool,
    next: u64,
    sockets: HashMap<u64, TcpStream>,
    workers: Vec<JoinHandle<()>>,
}

impl Life {
    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Sleeps; false when the server stopped meanwhile.
    pub fn sleep(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut inner = lock(&self.inner);
        while !inner.stopping {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            inner = self.wake.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Closes this socket too when the server stops. Give the answer to [`Life::forget`] when it is done.
    pub fn watch(&self, socket: &TcpStream) -> Option<u64> {
        let mut inner = lock(&self.inner);
        let copy = socket.try_clone().ok().filter(|_| !inner.stopping)?;
        let key = inner.next;
        inner.next += 1;
        inner.sockets.insert(key, copy);
        Some(key)
    }

    pub fn forget(&self, key: u64) {
        lock(&self.inner).sockets.remove(&key);
    }

    /// Starts a connection's thread; false when the server is stopping.
    fn spawn<H>(self: &Arc<Life>, socket: TcpStream, handler: &Arc<H>) -> bool
    where
        H: Fn(TcpStream, &Life) + Send + Sync + 'static,
    {
        let Some(key) = self.watch(&socket) else { return false };
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let _ = socket.set_nodelay(true);
        let (life, handler) = (Arc::clone(self), Arc::clone(handler));
        let worker = thread::spawn(move || {
            let _watched = Watched { life: &life, key };
            handler(socket, &life);
        });
        let mut inner = lock(&self.inner);
        inner.workers.retain(|worker| !worker.is_finished());
        inner.workers.push(worker);
        true
    }

    fn stop(&self) -> Vec<JoinHandle<()>> {
        let mut inner = lock(&self.inner);
        inner.stopping = true;
        self.wake.notify_all();
        for socket in inner.sockets.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        std::mem::take(&mut inner.workers)
    }
}

/// Forgets a connection's socket when its thread ends, by a panic too: the client then sees it closed.
struct Watched<'a> {
    life: &'a Life,
    key: u64,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.life.forget(self.key);
    }
}
