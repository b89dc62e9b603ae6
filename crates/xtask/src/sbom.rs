//! A bill of materials: what a package of ours is built from, as CycloneDX 1.5 in JSON.
//!
//! ```text
//! cargo metadata ──> packages, licences, who needs whom ─┐
//! Cargo.lock ──────> SHA-256 of each crate ──────────────┴──> components, dependencies
//! ```
//! B1  The same source and lock file give the same bytes: no time, no random serial number.
//! B2  Each component from a registry has its checksum; a reference leads to a component.
//!
//! Source: CycloneDX 1.5 (ECMA-424), purl specification, type "cargo".

use serde_json::{Value, json};

use crate::metadata::{self, Package};

/// The bill of `package`, one of ours.
pub fn text(package: &str) -> Result<String, String> {
    let packages = metadata::packages()?;
    let checksums = metadata::checksums()?;
    let root = packages
        .iter()
        .position(|known| known.name == package && known.source.is_none())
        .ok_or_else(|| format!("{package} is no package of this workspace"))?;
    let parts = metadata::closure(&packages, root);
    let component = |at: usize, kind: &str| -> Result<Value, String> {
        let part = &packages[at];
        let mut component = json!({
            "type": kind,
            "bom-ref": reference(part),
            "name": part.name,
            "version": part.version,
            "purl": reference(part),
        });
        if !part.licence.is_empty() {
            component["licenses"] = json!([{ "expression": part.licence }]);
        }
        if let Some(repository) = &part.repository {
            component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
        }
        let key = (part.name.clone(), part.version.clone());
        match checksums.get(&key) {
            Some(checksum) => {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
            }
            None if part.source.is_some() => {
                return Err(format!("Cargo.lock has no checksum of {}", part.name));
            }
            None => {}
        }
        Ok(component)
    };
    let mut others: Vec<usize> = parts.iter().copied().filter(|&at| at != root).collect();
    others.sort_by_key(|&at| reference(&packages[at]));
    let components: Vec<Value> = others
        .iter()
        .map(|&at| component(at, "library"))
        .collect::<Result<_, _>>()?;
    let dependencies: Vec<Value> = std::iter::once(&root)
        .chain(&others)
        .map(|&at| {
            let mut needs: Vec<String> = packages[at]
                .needs
                .iter()
                .map(|&need| reference(&packages[need]))
                .collect();
            needs.sort();
            json!({ "ref": reference(&packages[at]), "dependsOn": needs })
        })
        .collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(root, "application")? },
        "components": components,
        "dependencies": dependencies,
    });
    let text = serde_json::to_string_pretty(&bill).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// A package's purl, which also names it within the bill.
fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}
