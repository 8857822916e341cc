package Fixture::Cli;

# The infer command (INFER in the environment, else that of BUILD) as a user
# sees it, and a folder to work in that is gone afterwards.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Temp qw(tempdir);

use Fixture::File;

our @EXPORT = qw($infer $dir infer infer_from slurp spew);

our $infer = abs_path($ENV{INFER} // ($ENV{BUILD} // 'build') . '/infer');
our $dir = tempdir(CLEANUP => 1);

-x $infer or die "$infer: not there: build it first (make cli)\n";


# Runs it: (exit status or "signal N", stdout, stderr).
sub infer { return infer_from('/dev/null', @_) }


# The same with a file as its stdin.
sub infer_from {
    my ($stdin, @args) = @_;
    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', $stdin or die "$stdin: $!\n";
        open STDOUT, '>', "$dir/stdout" or die "stdout: $!\n";
        open STDERR, '>', "$dir/stderr" or die "stderr: $!\n";
        exec $infer, @args or die "$infer: $!\n";
    }

    waitpid $pid, 0;

    return ($? & 127 ? 'signal ' . ($? & 127) : $? >> 8,
            slurp("$dir/stdout"), slurp("$dir/stderr"));
}


1;
