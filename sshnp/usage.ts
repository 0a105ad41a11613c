/** What `--help` prints. */
export const SESSION_HELP = `Usage: sshnp [options] [@client] @device [user@]mygateway [ssh options] [command ...]
       sshnp proxy [--client @client] [user@]mygateway.device.np[:22]
       sshnp trust ls | show | accept | forget ...     the keys that devices and names are held to
       sshnp trust evidence                            what was kept of a directory whose log lies

Opens an SSH session to a device that has no open port. All that stands after the device is ssh's, and the exit status is
ssh's too. @client may be left out with one client in the keys folder.

  -s                 send your public SSH key for the device to admit (its sshnpd runs with -s)
  -x                 print the ssh command line instead of running it
  --native           log in without ssh, with a client that knows shells, commands, -i and -t; so it is where there is no ssh
  -v                 tell each step, with its time
  --wait[=10m]       wait for a device that is offline; Ctrl-C withdraws
  --directory ADDR   http(s)://HOST:PORT#SHA256:... instead of the address in the key file (else SSHNP_DIRECTORY)
  --witness KEY      NAME+hash+base64 of a witness that must have cosigned the directory's log, for each (else SSHNP_WITNESSES)
  --witnesses K      how many of them must have, more than half if not said
  --max-checkpoint-age 24h  how long ago that may be
  --keys DIR         the keys folder (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)
  --help, --version

@device=SHA256:... compares the owner key of @device with a fingerprint that you were given.

Examples:
  sshnp @client @device pi@mygateway
  sshnp @device mygateway -L 8080:localhost:80 -N
  sshnp --wait @device mygateway uptime

In ~/.ssh/config, for ssh, scp, sftp, rsync, git and editors:
  Host *.np
    ProxyCommand sshnp proxy %r@%h:%p
    UserKnownHostsFile ~/.local/share/sshnp/keys/state/known_hosts.%h
    StrictHostKeyChecking yes
    UpdateHostKeys no
    CheckHostIP no
    ServerAliveInterval 0
`;

export const PROXY_HELP = `Usage: sshnp proxy [options] [user@]mygateway.device.np[:22]

Joins standard input and output to the SSH server of a device: a ProxyCommand for ssh. Before the first byte is passed on,
the device's host keys are written to state/known_hosts.mygateway.device.np in the keys folder.

  --client @client   which client to be, when the keys folder has several
  --owner FPR        SHA256:..., the owner key that the device's name must have
  --keys DIR         the keys folder (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)
  --directory ADDR   http(s)://HOST:PORT#SHA256:... instead of the address in the key file (else SSHNP_DIRECTORY)
  --witness KEY, --witnesses K, --max-checkpoint-age 24h
                     witnesses of the directory's log, as of sshnp
  --wait[=10m]       wait for a device that is offline
  -s [-i FILE]       send your public SSH key (of FILE) for the device to admit
  -v                 tell each step, with its time
`;
