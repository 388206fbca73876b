// Serves with nodemailer's smtp-server: node nodemailer.cjs PORT MODE CERTIFICATE
// It takes every message as it comes and keeps nothing of it.
"use strict";
const fs = require("fs");
const [port, mode, certificate] = process.argv.slice(2);
const { SMTPServer } = require(process.env.SMTP_SERVER);

const tls = mode === "starttls" || mode === "implicit";
const pem = tls ? fs.readFileSync(certificate) : undefined;
const server = new SMTPServer({
  name: "server.example",
  secure: mode === "implicit",
  lmtp: mode === "lmtp",
  cert: pem,
  key: pem,
  authOptional: true,
  disabledCommands: tls ? ["AUTH"] : ["AUTH", "STARTTLS"],
  disableReverseLookup: true,
  size: 33554432,
  onData(stream, session, callback) {
    stream.on("end", () => callback(null, "OK"));
    stream.resume();
  },
});
server.on("error", () => {}); // a client that goes away is none of the benchmark's business
server.listen(Number(port), "127.0.0.1", 4096);
