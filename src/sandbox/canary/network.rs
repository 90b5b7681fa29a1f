//! Probes of the network.

use super::{Attempt, View, name_of, refused, stopped};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

/// How long a connection that is neither made nor refused is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn tcp(port: Option<u16>, address: std::net::IpAddr) -> Attempt {
    let Some(port) = port else { return Ok("nothing there outside either".to_owned()) };
    refused(TcpStream::connect_timeout(&(address, port).into(), PATIENCE), |_| format!("connected to port {port}"))
}

/// Connecting a datagram socket looks for a route and sends nothing. The addresses are those for documentation.
pub(super) fn route(from: SocketAddr, to: SocketAddr) -> Attempt {
    let bound = match UdpSocket::bind(from) {
        // No IPv6 in this kernel.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => return Ok(name_of(libc::EAFNOSUPPORT)),
        bound => bound,
    };
    match bound {
        Ok(socket) => refused(socket.connect(to), |()| format!("there is a route to {to}")),
        Err(error) => stopped(error),
    }
}

pub(super) fn abstract_socket(view: &View<'_>) -> Attempt {
    let Some(name) = &view.bait.unix else { return Ok("nothing there outside either".to_owned()) };
    let connected = UnixAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address));
    refused(connected, |_| format!("connected to @{name}"))
}

pub(super) fn socket(family: AddressFamily, kind: SocketType, protocol: Option<rustix::net::Protocol>) -> Attempt {
    refused(rustix::net::socket(family, kind, protocol), |_| "made a socket".to_owned())
}

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;

/// Sends a request about a network device (rtnetlink, which is protocol 0; `ifinfomsg` without attributes) and gives the answers: type and
/// content of each message.
fn ask_netlink(kind: u16, flags: u16, device: i32) -> io::Result<Vec<(u16, Vec<u8>)>> {
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
    let mut request = [0; 32];
    request[..4].copy_from_slice(&32_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
    request[20..24].copy_from_slice(&device.to_ne_bytes());
    rustix::net::send(&socket, &request, rustix::net::SendFlags::empty())?;
    let mut answers = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], rustix::net::RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((head, _)) = rest.split_first_chunk::<16>() {
            let size = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let kind = u16::from_ne_bytes([head[4], head[5]]);
            let Some(body) = rest.get(16..size) else { return Err(io::ErrorKind::InvalidData.into()) };
            answers.push((kind, body.to_vec()));
            if matches!(kind, DONE | ERROR) {
                return Ok(answers);
            }
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

pub(super) fn links() -> Attempt {
    let answers = match ask_netlink(GET_LINK, DUMP, 0) {
        Ok(answers) => answers,
        Err(error) => return stopped(error),
    };
    let devices = answers.iter().filter(|(kind, _)| *kind == NEW_LINK);
    let flags = devices.filter_map(|(_, body)| body.get(8..12)?.first_chunk().map(|b| u32::from_ne_bytes(*b)));
    let (up, loopback) = (libc::IFF_UP as u32, libc::IFF_LOOPBACK as u32);
    match flags.filter(|flags| flags & up != 0 && flags & loopback == 0).count() {
        0 => Ok("none but a loopback is up".to_owned()),
        some => Err(format!("{some} network devices besides the loopback are up")),
    }
}

pub(super) fn change_link() -> Attempt {
    // Of device 1, the loopback, nothing is asked to be changed.
    let answers = match ask_netlink(SET_LINK, ACKNOWLEDGE, 1) {
        Ok(answers) => answers,
        Err(error) => return stopped(error),
    };
    let code = answers.iter().find(|(kind, _)| *kind == ERROR).and_then(|(_, body)| body.first_chunk().copied());
    match code.map(i32::from_ne_bytes) {
        Some(code) if code < 0 => stopped(Errno::from_raw_os_error(-code)),
        _ => Err("the kernel would have changed it".to_owned()),
    }
}
