//! The throw-away keys of the ordinary tests.

#![allow(dead_code, reason = "each target uses its part")]

#[path = "../../../it/fetch/openpgp.rs"]
pub mod openpgp;

pub const NOW: u64 = 1_717_200_000;

pub fn keys() -> parton_fuzz::openpgp::Keys {
    let (alice, mallory) = (openpgp::Key::alice(), openpgp::Key::mallory());
    parton_fuzz::openpgp::Keys {
        certificate: alice.certificate(),
        fingerprint: alice.fingerprint(),
        text: alice.clearsign(parton_fuzz::openpgp::TEXT, NOW - 3600),
        foreign: openpgp::binary(&mallory.sign(parton_fuzz::openpgp::SIGNED)),
    }
}
