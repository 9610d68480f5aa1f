//! The contract of each capability of a forge: the same assertions over every row of `FORGES` that has it, inside the
//! process; and of every CI (`cis.rs`) and every cloud (`clouds.rs`). The program's code is real; the server that it talks to is scripted (`fake-forge/`), and
//! the preview's files are real. A forge without a row in `rows.rs` fails, and so does one whose row does not say what it lacks.

mod artifacts;
mod assets;
mod checks;
mod cis;
mod clouds;
mod comments;
mod labels;
mod permissions;
mod pull_requests;
mod rows;
mod runners;
mod runs;
