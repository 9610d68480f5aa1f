//! The retail price: <https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices>. Anybody may ask.

use crate::app::App;
use crate::http::request;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::Method;
use serde::Deserialize;
use std::pin::pin;
use std::time::Duration;
use url::Url;

const ADDRESS: &str = "https://prices.azure.com/api/retail/prices";
/// How long a launch waits for what it could do without.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    retail_price: f64,
    product_name: String,
    sku_name: String,
    unit_of_measure: String,
}

/// Returns the price of a size, for people.
pub async fn describe(app: &App, region: &str, size: &str, spot: bool) -> String {
    match select(pin!(fetch(app, region, size, spot)), app.host.sleep(TIMEOUT)).await {
        Either::Left((Some(price), _)) => {
            let market = if spot { "spot" } else { "on demand" };
            format!("currently {price:.4} US dollars per hour ({size}, {market})")
        }
        _ => "unknown: prices.azure.com has none, or cannot be reached".to_owned(),
    }
}

async fn fetch(app: &App, region: &str, size: &str, spot: bool) -> Option<f64> {
    let filter = format!(
        "serviceName eq 'Virtual Machines' and armRegionName eq '{region}' and armSkuName eq '{size}' and priceType eq 'Consumption'"
    );
    let mut url = Url::parse(ADDRESS).ok()?;
    url.query_pairs_mut().append_pair("$filter", &filter);
    let answer = app.http.send(request(Method::GET, &url, Bytes::new()).ok()?).await.ok()?;
    price(&serde_json::from_slice::<Page>(answer.body()).ok()?, spot)
}

/// Returns the lowest price on Linux.
fn price(page: &Page, spot: bool) -> Option<f64> {
    let fits = |item: &&Item| {
        item.sku_name.contains("Spot") == spot
            && !item.sku_name.contains("Low Priority")
            && !item.product_name.contains("Windows")
            && item.unit_of_measure == "1 Hour"
    };
    page.items.iter().filter(fits).map(|item| item.retail_price).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_price_is_that_of_linux_in_the_market() {
        let item = |price: f64, product: &str, sku: &str| json!({"retailPrice": price, "productName": product, "skuName": sku, "unitOfMeasure": "1 Hour", "currencyCode": "USD"});
        let items = [
            item(0.8, "Virtual Machines Dasv5 Series Windows", "D8as v5"),
            item(0.4, "Virtual Machines Dasv5 Series", "D8as v5"),
            item(0.1, "Virtual Machines Dasv5 Series", "D8as v5 Spot"),
            item(0.05, "Virtual Machines Dasv5 Series", "D8as v5 Low Priority"),
        ];
        let page: Page = serde_json::from_value(json!({"Items": items, "NextPageLink": null})).unwrap();
        assert_eq!((price(&page, false), price(&page, true)), (Some(0.4), Some(0.1)));
        assert_eq!(price(&Page { items: Vec::new() }, false), None);
    }
}
