#pragma once
// What a process does with its signals and at its end, as far as it can't be said in Swift: nothing of Swift's runtime may
// be used in a signal handler, and `stdout` is a variable.

// Opens a pipe for signals and returns its non-blocking reading end, the same at every call; -1 with `errno` if there is
// none.
int CProcessOpenSignals(void);

// From now on every arrival of the signal puts its number into the pipe as a byte. 0, or -1 with `errno`.
int CProcessCatchSignal(int number);

// Writes out what standard output holds back. 0, or the `errno` of this or an earlier write that failed, EIO if that isn't
// known.
int CProcessFlushOutput(void);

// Names the calling thread, by at most 15 characters.
void CProcessNameThisThread(const char *name);
