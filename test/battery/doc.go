// Package battery attacks a node from inside its sandboxes: every attack of a table is carried out by an unruly function
// on the real binary, and nothing may come of it. Each attempt has to be in the record.
//
// The same attacks then run on a build whose walls are off (package internal/walls). There each has to work: an attack
// that fails without walls proves nothing when it fails behind them.
//
// The suite runs in a cell: its own process, mount, network and control group namespaces, in which every address of the
// Internet is the suite's own. What an attack without walls does to its host, it does to the cell. So it needs root;
// elsewhere it is left out aloud, with CI=true it fails. CASEMATE_FULL=1 runs the slow attacks as well, and stress-ng.
package battery
