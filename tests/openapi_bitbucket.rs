//! The same for Bitbucket.
use crate::support::fake::{Forge, Vendor};
use crate::support::{Cml, png};
use crate::support::prism::Prism;

#[test]
fn first() {
    let forge = Forge::start();
    let Some(prism) = Prism::guarding(Vendor::Bitbucket, &forge) else { return };
    let mut cml = Cml::on(&forge, Vendor::Bitbucket);
    cml.set("BITBUCKET_API_URL", &prism.api());
    for target in ["pr/7", "issue/3", &format!("commit/{}", crate::support::fake::HEAD)] {
        cml.file("report.md", "![x](x.png)");
        cml.file("x.png", png(200));
        eprintln!("{:?}", cml.run(&["comment", "create", "--target", target, "report.md"]));
        cml.file("report.md", "b");
        eprintln!("{:?}", cml.run(&["comment", "update", "--target", target, "report.md"]));
    }
    eprintln!("{:?}", cml.run(&["check", "create", "report.md"]));
    panic!("{:#?}", prism.violations("team/model"));
}
