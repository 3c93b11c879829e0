//! The lab measures itself, so that what is measured in it can be believed: rate, delay, cuts,
//! and that nothing is left behind. Needs root; without it each test says so and passes.
#![cfg(all(target_os = "linux", feature = "lab"))]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use ropewalk_tests::lab::peer::{Job, PORT, Workload, mptcp, socket};
use ropewalk_tests::lab::{self, Lab, LinkSpec, Node, ipv4, ipv6};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One lab at a time: two would share the machine's cores and measure each other.
fn lab(links: &[LinkSpec]) -> Option<(MutexGuard<'static, ()>, Lab)> {
    static ONE: Mutex<()> = Mutex::new(());
    if let Err(missing) = lab::check_requirements() {
        println!("SKIPPED: {missing}");
        return None;
    }
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    Some((guard, Lab::new(links).expect("the lab can be built")))
}

fn udp(lab: &Lab, node: Node, address: IpAddr) -> UdpSocket {
    let socket = lab.inside(node, || UdpSocket::bind((address, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket
}

/// Goodput in Mbit/s of a TCP connection from A to B for `time`, as the receiver sees it.
fn tcp_mbit_s(lab: &Lab, link: usize, time: Duration) -> f64 {
    let address = SocketAddr::new(ipv4(link, Node::B), 5001);
    let listener = lab.inside(Node::B, || TcpListener::bind(address)).unwrap().unwrap();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let (begin, mut bytes, mut buffer) = (Instant::now(), 0, vec![0; 1 << 16]);
            while begin.elapsed() < time {
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    len => bytes += len,
                }
            }
            bytes as f64 * 8.0 / begin.elapsed().as_secs_f64() / 1e6
        });
        lab.inside(Node::A, || {
            let mut stream = TcpStream::connect(address).unwrap();
            // Ends when the receiver has seen enough and closes.
            while stream.write_all(&[0; 1 << 16]).is_ok() {}
        })
        .unwrap();
        receiver.join().unwrap()
    })
}

#[test]
fn a_link_has_the_rate_and_the_delay_that_it_was_given() {
    let Some((_guard, lab)) = lab(&[LinkSpec::new(100, 10, 256)]) else { return };
    let (here, there) =
        (udp(&lab, Node::A, ipv4(0, Node::A)), udp(&lab, Node::B, ipv4(0, Node::B)));
    let mut buffer = [0; 64];
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begin = Instant::now();
        here.send_to(b"there", there.local_addr().unwrap()).unwrap();
        let (len, from) = there.recv_from(&mut buffer).unwrap();
        there.send_to(&buffer[..len], from).unwrap();
        here.recv(&mut buffer).unwrap();
        best = best.min(begin.elapsed());
    }
    println!("best round trip {best:?}");
    assert!((Duration::from_millis(20)..Duration::from_millis(22)).contains(&best), "{best:?}");

    let mbit_s = tcp_mbit_s(&lab, 0, Duration::from_secs(4));
    println!("TCP goodput {mbit_s:.1} Mbit/s");
    // The bound is 95.6: 1,448 bytes of payload in each frame of 1,514.
    assert!((85.0..95.7).contains(&mbit_s), "{mbit_s:.1} Mbit/s");
}

#[test]
fn a_cut_stops_everything_and_a_restored_link_works_again() {
    let Some((_guard, lab)) = lab(&[LinkSpec::new(100, 1, 64)]) else { return };
    let (here, there) =
        (udp(&lab, Node::A, ipv6(0, Node::A)), udp(&lab, Node::B, ipv6(0, Node::B)));
    here.connect(there.local_addr().unwrap()).unwrap();
    there.connect(here.local_addr().unwrap()).unwrap();
    let passes = |from: &UdpSocket, to: &UdpSocket| {
        from.send(b"word").unwrap();
        to.recv(&mut [0; 8]).is_ok()
    };
    assert!(passes(&here, &there) && passes(&there, &here));
    lab.link(0).cut_one_way(Node::A);
    assert!(!passes(&here, &there) && passes(&there, &here));
    lab.link(0).cut();
    assert!(!passes(&here, &there) && !passes(&there, &here));
    lab.link(0).restore();
    assert!(passes(&here, &there) && passes(&there, &here));
}

#[test]
fn a_flipped_bit_reaches_the_application_over_both_versions_of_ip() {
    let everything = LinkSpec::new(100, 1, 64).with(|shape| shape.corrupt = 1.0);
    let Some((_guard, lab)) = lab(&[everything]) else { return };
    for address in [ipv4, ipv6] {
        let (here, there) =
            (udp(&lab, Node::A, address(0, Node::A)), udp(&lab, Node::B, address(0, Node::B)));
        here.send_to(&[0; 100], there.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 200];
        let len = there.recv(&mut buffer).expect("the kernel passes it on");
        let ones: u32 = buffer[..len].iter().map(|byte| byte.count_ones()).sum();
        assert_eq!((len, ones), (100, 1));
    }
}

#[test]
fn each_link_answers_for_its_own_addresses_only() {
    let Some((_guard, lab)) = lab(&[LinkSpec::new(100, 1, 64); 2]) else { return };
    // Out by link 0, to the address that B has on link 1.
    let socket = udp(&lab, Node::A, ipv4(0, Node::A));
    let other = udp(&lab, Node::B, ipv4(1, Node::B));
    lab.inside(Node::A, || bind_to_device(&socket, &lab::interface(0))).unwrap().unwrap();
    let _ = socket.send_to(b"lost", other.local_addr().unwrap());
    assert!(other.recv(&mut [0; 8]).is_err(), "B answered on link 0 for its address on link 1");
}

#[test]
fn links_come_and_go_while_others_carry_on() {
    let Some((_guard, mut lab)) = lab(&[LinkSpec::new(100, 1, 64)]) else { return };
    let added = lab.add_link(&LinkSpec::new(50, 2, 64)).unwrap();
    let passes = |lab: &Lab, link: usize| -> io::Result<bool> {
        let here = lab.inside(Node::A, || UdpSocket::bind((ipv4(link, Node::A), 0))).unwrap()?;
        let there = udp(lab, Node::B, ipv4(link, Node::B));
        here.send_to(b"word", there.local_addr()?)?;
        Ok(there.recv(&mut [0; 8]).is_ok())
    };
    assert!(passes(&lab, 0).unwrap() && passes(&lab, added).unwrap());
    lab.unplug(0, Node::A).unwrap();
    assert!(passes(&lab, 0).is_err(), "the address went with the interface");
    assert!(passes(&lab, added).unwrap());
    lab.remove_link(added);
    assert!(passes(&lab, added).is_err());
}

#[test]
fn nothing_is_left_behind_not_even_by_a_panic_or_a_child_that_will_not_end() {
    let Some((_guard, lab)) = lab(&[LinkSpec::new(100, 1, 64)]) else { return };
    let names = [Node::A, Node::B].map(|node| lab.namespace(node).to_owned());
    let mut child = lab.spawn(Node::B, "sleep", &["1000"]).unwrap();
    // It must have become `sleep` in its namespace before we may count on finding it there.
    while std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap() != "sleep\n" {
        std::thread::sleep(Duration::from_millis(5));
    }
    let panicked = std::thread::spawn(move || {
        let _lab = lab;
        std::panic::resume_unwind(Box::new("as a failing test would"));
    });
    assert!(panicked.join().is_err());
    assert!(!child.wait().unwrap().success(), "killed");
    for name in names {
        assert!(!std::path::Path::new("/run/netns").join(name).exists());
    }
}

#[test]
fn what_a_killed_run_left_is_swept_by_the_next() {
    if lab(&[]).is_none() {
        return;
    }
    // As a lab of a process that is gone; no process has this id (proc(5): pid_max is 2^22).
    let left = "ropewalk-4194305-0-a";
    let added = std::process::Command::new("ip").args(["netns", "add", left]).status().unwrap();
    assert!(added.success());
    let place = std::path::Path::new("/run/netns").join(left);
    assert!(place.exists());
    let _lab = lab(&[LinkSpec::new(100, 1, 64)]);
    assert!(!place.exists());
}

#[test]
fn mptcp_is_set_up_so_that_it_uses_every_link() {
    if let Some(why) = mptcp::missing() {
        println!("SKIPPED: {why}");
        return;
    }
    let Some((_guard, lab)) = lab(&[LinkSpec::new(20, 5, 64); 3]) else { return };
    mptcp::set_up(&lab).unwrap();
    let at = SocketAddr::new(ipv4(0, Node::B), PORT);
    let workload = Workload::Bulk { bytes: 5_000_000 };
    let job = |sink| Job { sink, multipath: true, congestion: None, at, workload };
    std::thread::scope(|scope| {
        let sink = scope.spawn(|| lab.inside(Node::B, || socket::play(&job(true))).unwrap());
        // The sink listens some moments after its thread began.
        let source = || lab.inside(Node::A, || socket::play(&job(false))).unwrap();
        let played = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            source().ok()
        });
        assert!(played.is_some());
        sink.join().unwrap().unwrap();
    });
    for link in lab.links() {
        let frames = link.stats(Node::A).delivered_large;
        assert!(frames > 100, "link {} carried {frames} full frames", link.index());
    }
}

#[test]
fn an_unshaped_pair_is_as_fast_as_the_machine() {
    if lab(&[]).is_none() {
        return;
    }
    let lab = Lab::unshaped().unwrap();
    let mbit_s = tcp_mbit_s(&lab, 0, Duration::from_secs(1));
    println!("TCP goodput {mbit_s:.0} Mbit/s");
    // No emulated link is anywhere near.
    assert!(mbit_s > 1_000.0, "{mbit_s:.0} Mbit/s");
}

fn bind_to_device(socket: &UdpSocket, name: &str) -> io::Result<()> {
    socket2::SockRef::from(socket).bind_device(Some(name.as_bytes()))
}
