#!/usr/bin/perl
use strict;
my $to = shift;
sub put { open(my $f, '>', "$to/$_[0]") or die; print $f $_[1]; close $f }
open(my $r, '<:raw', '/dev/urandom') or die;
read($r, my $bytes, 8);
put('id', unpack('H*', $bytes) . "\n");
opendir(my $d, 'parts') or die;
put('index', join("\n", grep { !/^\./ } readdir $d) . "\n");
my @t = gmtime(time);
put('stamp', sprintf("%04d-%02d-%02d\n", $t[5] + 1900, $t[4] + 1, $t[3]));
put('who', (getpwuid($<))[0] . "\n");
