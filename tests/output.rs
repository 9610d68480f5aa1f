//! Standard output that takes nothing: never a success, and what was done is named all the same. A real device that is full and a
//! real pipe that nobody reads; the forge is scripted.
#![cfg(target_os = "linux")]

use crate::support::fake::{Forge, Kind, Target, Vendor};
use crate::support::{Cml, Ran, VENDORS, is_wasm, png};
use std::fs::OpenOptions;
use std::process::Stdio;

/// Event files of one run with one value.
fn with_logs(cml: &Cml) {
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let masked = |bytes: &[u8]| crc.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let field = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let value = [field(0x0a, b"loss"), [&[0x15], &0.5_f32.to_le_bytes()[..]].concat()].concat();
    let event = [&[9][..], &1e9_f64.to_le_bytes(), &[0x10, 1], &field(0x2a, &field(0x0a, &value))].concat();
    let length = (event.len() as u64).to_le_bytes();
    let record = [&length[..], &masked(&length), &event, &masked(&event)].concat();
    cml.file("logs/events.out.tfevents.1", record);
}

/// Runs with a full device, and with a pipe that nobody reads, as standard output.
fn unheard(cml: &Cml, args: &[&str]) -> [(Ran, &'static str); 2] {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = |out: Stdio| Ran::of(cml.command(args).stdout(out).stderr(Stdio::piped()));
    [(run(full.into()), "No space left on device (os error 28)"), (run(writer.into()), "Broken pipe (os error 32)")]
}

#[test]
fn what_is_made_is_named_where_it_cannot_be_printed() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let outputs = cml.file("outputs.env", "").display().to_string();
        cml.set("CML_DOTENV", &outputs).file("plot.png", png(1));
        with_logs(&cml);
        let hint = "check what standard output is connected to; everything else was done";
        for args in [
            &["comment", "create", "report.md"][..],
            &["comment", "update", "report.md"],
            &["check", "create", "report.md"],
            &["asset", "publish", "plot.png"],
            &["asset", "publish", "plot.png", "--md"],
        ] {
            for (ran, why) in unheard(&cml, args) {
                cml.file("outputs.env", cml.read("outputs.env"));
                let url = forge.url();
                let what = if args.contains(&"--md") { format!("![]({url}/*)") } else { "*http*".to_owned() };
                ran.fails(3, &format!("cannot write {what} to standard output ({why})"), hint);
            }
        }
        assert!(cml.read("outputs.env").contains("COMMENT_URL=") && cml.read("outputs.env").contains("ASSET_URL="));
        for (ran, why) in unheard(&cml, &["tensorboard", "connect", "--logdir", "logs"]) {
            ran.fails(3, &format!("cannot write the result to standard output ({why})"), hint);
            assert!(ran.stderr.contains(forge.url()), "the charts' addresses: {ran:#?}");
        }
    }
}

#[test]
fn a_check_keeps_its_comment_and_a_pull_request_its_merge() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let [(ran, _), _] = unheard(&cml, &["check", "create", "report.md", "--comment"]);
        assert_eq!(ran.code, Some(3), "{ran:#?}");
        assert_eq!(forge.live_comments(vendor, &Target::Pull(7)).len(), 1, "{ran:#?}");
    }
}

#[test]
fn what_only_prints_fails() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let hint = "check what standard output is connected to";
        for args in
            [&["doctor"][..], &["--help"], &["comment", "create", "--help"], &["--version"], &["completions", "bash"]]
        {
            if is_wasm() && args[0] == "completions" {
                continue;
            }
            for (ran, why) in unheard(&cml, args) {
                ran.fails(3, &format!("cannot write to standard output ({why})"), hint);
            }
        }
    }
}

#[test]
fn warnings_of_a_step_need_no_standard_output() {
    let forge = Forge::start();
    forge.fault("POST ", 99, Kind::answer(403, &[], ""));
    let cml = Cml::on(&forge, Vendor::GitHub);
    let [(ran, _), _] = unheard(&cml, &["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(4), "{ran:#?}");
}
