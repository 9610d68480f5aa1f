//! `Assets`: where files of a report go, and which addresses are those of files of one's own. The server is scripted, and the
//! preview's folder is real.

use super::rows::each;
use crate::support::net::get;
use crate::support::png;
use bytes::Bytes;
use cml::digest::hash;
use cml::forge::assets::{Asset, Content};
use std::cell::RefCell;

fn asset(seed: u8) -> Asset {
    let bytes = png(seed);
    Asset {
        hash: hash(&bytes),
        name: format!("plot {seed}.png"),
        mime: "image/png".into(),
        extension: "png".into(),
        content: Content::Here(Bytes::from(bytes)),
    }
}

/// Addresses that end as that of a file does, or contain it, and lead elsewhere.
fn forgeries(address: &str, name: &str) -> Vec<String> {
    let folder = address.rfind(name).map(|at| &address[..at]).unwrap();
    let mut all = vec![
        format!("https://evil.example/x/{name}"),
        format!("https://evil.example/{address}"),
        format!("https://evil.example/?{address}"),
        format!("{address}/{name}"),
        format!("{address}?{name}"),
        format!("{folder}x/../{name}"),
        format!("{folder}x{name}"),
        format!(" {address}"),
        name.to_owned(),
    ];
    if let Some(rest) = address.strip_prefix("http://127.0.0.1:") {
        let (port, path) = rest.split_once('/').unwrap();
        all.extend([
            format!("https://127.0.0.1:{port}/{path}"),
            format!("http://127.0.0.1.evil.example:{port}/{path}"),
            format!("http://127.0.0.1:{port}@evil.example/{path}"),
            format!("http://127.0.0.1:{port}0/{path}"),
            format!("http://127.0.0.1:{port}/mallory/{path}"),
            address.replace("model", "other").replace("/42/", "/99/"),
            address.replacen("/raw/", "/raw/main", 1).replacen("/uploads/", "/uploads/z", 1).replacen("cml-", "x-", 1),
        ]);
    }
    all
}

#[test]
fn files_have_addresses_in_their_order_that_serve_them() {
    each(async |row| {
        let (forge, assets) = (row.forge.assets(), [asset(1), asset(2)]);
        for _ in 0..2 {
            let progress = RefCell::new(Vec::new());
            let addresses = forge.upload(&assets, &|done| progress.borrow_mut().push(done)).await.unwrap();
            assert_eq!((addresses.len(), progress.borrow().last()), (2, Some(&2)));
            for (asset, address) in assets.iter().zip(&addresses) {
                assert!(forge.is_asset(address, &asset.unique_name()), "{address}");
                assert!(!forge.is_asset(address, "0123.png") && !forge.is_asset(&format!("{address}?x=1"), "x"));
                for other in forgeries(address, &asset.unique_name()) {
                    assert!(!forge.is_asset(&other, &asset.unique_name()), "{other}");
                }
                let bytes = match row.fake {
                    Some(_) => get(address).body,
                    None => std::fs::read(row.folder.path().join(".cml").join(address)).unwrap(),
                };
                assert_eq!(bytes, asset.read().unwrap(), "{address}");
                assert!(forge.address_outside(address).ends_with(address.as_str()));
            }
        }
        assert_eq!(forge.upload(&[], &|_| {}).await.unwrap(), Vec::<String>::new());
    });
}
