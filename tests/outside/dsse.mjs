// Verifies the DSSE envelopes of a bundle with sigstore's implementation: node dsse.mjs FOLDER. Prints how many it verified.
import { createPublicKey } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { crypto, dsse } from "@sigstore/core";

const folder = process.argv[2];
const { keys } = JSON.parse(readFileSync(`${folder}/trust.json`));
const key = (id) => {
  const hex = keys[id].public ?? keys[id];
  return createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(hex, "hex").toString("base64url") } });
};
const names = readdirSync(`${folder}/log/statements`);
for (const name of names) {
  const { payload, payloadType, signatures } = JSON.parse(readFileSync(`${folder}/log/statements/${name}`));
  const signed = dsse.preAuthEncoding(payloadType, Buffer.from(payload, "base64"));
  for (const { keyid, sig } of signatures) {
    if (!crypto.verify(signed, key(keyid), Buffer.from(sig, "base64"))) {
      console.error(`${name}: the signature of ${keyid} is wrong`);
      process.exit(1);
    }
  }
}
console.log(names.length);
