const OWN_OPTIONS = `  --wait[=10m]       wait for a device that is offline; Ctrl-C withdraws
  --keys DIR         the keys folder (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)
  --directory ADDR   http(s)://HOST:PORT#SHA256:... instead of the address in the key file (else SSHNP_DIRECTORY)
  --witness KEY, --witnesses K, --max-checkpoint-age 24h
                     witnesses of the directory's log, as of sshnp
`;

/** What the verbs print that run a program of the system. */
export const TRANSFER_HELP = {
  scp: `Usage: sshnp cp [options] [@client] [@device] [scp options] SOURCE... TARGET

Copies files with a device, by the system's scp. [user@]mygateway:PATH is on mygateway of @device, and so is
[user@]mygateway.device.np:PATH without @device. The exit status is scp's.

${OWN_OPTIONS}
Examples:
  sshnp cp @device firmware.bin pi@mygateway:/tmp
  sshnp cp -r pi@mygateway.device.np:/var/log ./logs
`,
  rsync: `Usage: sshnp rsync [options] [@client] [@device] [rsync options] SOURCE... TARGET

Synchronises files with a device, by rsync here and there. [user@]mygateway:PATH is on mygateway of @device, and so is
[user@]mygateway.device.np:PATH without @device. The exit status is rsync's. Options for ssh go with -e 'ssh -i FILE'.

${OWN_OPTIONS}
Examples:
  sshnp rsync @device -av --delete site/ pi@mygateway:/srv/site/
`,
  sftp: `Usage: sshnp sftp [options] [@client] [@device] [sftp options] [user@]mygateway[:PATH]

Opens an interactive file session with a device, by the system's sftp. The exit status is sftp's.

${OWN_OPTIONS}
Examples:
  sshnp sftp @device pi@mygateway
  sshnp sftp -b batch pi@mygateway.device.np:/tmp
`,
} as const;
